package stubmodel

// anthropic answers in the Messages protocol.
func anthropic(s *stream, asked request) {
	words, reason := FirstWords, "tool_use"
	if asked.acted() || !asked.hasTool("Bash") {
		words, reason = LastWords, "end_turn"
	}
	s.event("message_start", object{"type": "message_start", "message": object{
		"id": "msg_" + s.id, "type": "message", "role": "assistant", "model": "stub", "content": []any{},
		"stop_reason": nil, "stop_sequence": nil,
		"usage": object{
			"input_tokens": InputTokens, "cache_read_input_tokens": CachedTokens,
			"cache_creation_input_tokens": 0, "output_tokens": 1,
		},
	}})
	s.block(0, object{"type": "text", "text": ""}, object{"type": "text_delta", "text": words})
	if s.wait() {
		return
	}
	s.event("content_block_stop", object{"type": "content_block_stop", "index": 0})
	if reason == "tool_use" {
		s.block(1, object{"type": "tool_use", "id": "toolu_" + s.id, "name": "Bash", "input": object{}},
			object{"type": "input_json_delta", "partial_json": `{"command":"` + s.command + `","description":"look"}`})
		s.event("content_block_stop", object{"type": "content_block_stop", "index": 1})
	}
	s.event("message_delta", object{
		"type": "message_delta", "delta": object{"stop_reason": reason, "stop_sequence": nil},
		"usage": object{"output_tokens": OutputTokens},
	})
	s.event("message_stop", object{"type": "message_stop"})
}

func (s *stream) block(index int, start, delta object) {
	s.event("content_block_start", object{"type": "content_block_start", "index": index, "content_block": start})
	s.event("content_block_delta", object{"type": "content_block_delta", "index": index, "delta": delta})
}
