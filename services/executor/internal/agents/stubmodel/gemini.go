package stubmodel

// gemini answers in the protocol of Gemini's streamGenerateContent.
func gemini(s *stream, asked request) {
	chunk := func(parts []any, reason string) {
		candidate := object{"index": 0, "content": object{"role": "model", "parts": parts}}
		if reason != "" {
			candidate["finishReason"] = reason
		}
		s.event("", object{
			"candidates": []any{candidate}, "modelVersion": "stub", "responseId": s.id,
			"usageMetadata": object{
				"promptTokenCount": InputTokens + CachedTokens, "cachedContentTokenCount": CachedTokens,
				"candidatesTokenCount": OutputTokens, "totalTokenCount": InputTokens + CachedTokens + OutputTokens,
			},
		})
	}
	acts := !asked.acted() && asked.hasTool("run_shell_command")
	words := LastWords
	if acts {
		words = FirstWords
	}
	chunk([]any{object{"text": words}}, "")
	if s.wait() {
		return
	}
	if acts {
		chunk([]any{object{"functionCall": object{
			"name": "run_shell_command", "args": object{"command": Command, "description": "look"},
		}}}, "STOP")
		return
	}
	chunk([]any{object{"text": " Done."}}, "STOP")
}
