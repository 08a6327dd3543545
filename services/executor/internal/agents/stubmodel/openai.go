package stubmodel

import "fmt"

// chatCompletions answers in the protocol of OpenAI's chat completions.
func chatCompletions(s *stream, asked request) {
	chunk := func(delta object, reason any) {
		s.event("", object{
			"id": "chatcmpl_" + s.id, "object": "chat.completion.chunk", "created": 1, "model": "stub",
			"choices": []any{object{"index": 0, "delta": delta, "finish_reason": reason}},
		})
	}
	acts := !asked.acted() && asked.hasTool("bash")
	if acts {
		chunk(object{"role": "assistant", "content": FirstWords}, nil)
	} else {
		chunk(object{"role": "assistant", "content": LastWords}, nil)
	}
	if s.wait() {
		return
	}
	reason := "stop"
	if acts {
		reason = "tool_calls"
		chunk(object{"tool_calls": []any{object{
			"index": 0, "id": "call_" + s.id, "type": "function",
			"function": object{"name": "bash", "arguments": `{"command":"` + Command + `","description":"look"}`},
		}}}, nil)
	}
	chunk(object{}, reason)
	s.event("", object{
		"id": "chatcmpl_" + s.id, "object": "chat.completion.chunk", "created": 1, "model": "stub", "choices": []any{},
		"usage": object{
			"prompt_tokens": InputTokens + CachedTokens, "completion_tokens": OutputTokens,
			"total_tokens":          InputTokens + CachedTokens + OutputTokens,
			"prompt_tokens_details": object{"cached_tokens": CachedTokens},
		},
	})
	_, _ = fmt.Fprint(s.w, "data: [DONE]\n\n")
}

// responses answers in the protocol of OpenAI's Responses.
func responses(s *stream, asked request) {
	answer := func(status string, output []any) object {
		return object{
			"id": "resp_" + s.id, "object": "response", "created_at": 1, "model": "stub", "status": status, "output": output,
			"usage": object{
				"input_tokens": InputTokens + CachedTokens, "output_tokens": OutputTokens,
				"total_tokens":          InputTokens + CachedTokens + OutputTokens,
				"input_tokens_details":  object{"cached_tokens": CachedTokens},
				"output_tokens_details": object{"reasoning_tokens": 0},
			},
		}
	}
	var call object
	if !asked.acted() {
		call = shellCall(asked, "call_"+s.id)
	}
	words := LastWords
	if call != nil {
		words = FirstWords
	}
	message := object{
		"type": "message", "id": "msg_" + s.id, "role": "assistant", "status": "completed",
		"content": []any{object{"type": "output_text", "text": words, "annotations": []any{}}},
	}
	s.event("response.created", object{"type": "response.created", "response": answer("in_progress", []any{})})
	s.event("response.output_item.added", object{
		"type": "response.output_item.added", "output_index": 0,
		"item": object{"type": "message", "id": "msg_" + s.id, "role": "assistant", "status": "in_progress", "content": []any{}},
	})
	s.event("response.output_text.delta", object{
		"type": "response.output_text.delta", "item_id": "msg_" + s.id, "output_index": 0, "content_index": 0, "delta": words,
	})
	if s.wait() {
		return
	}
	output := []any{message}
	s.event("response.output_item.done", object{"type": "response.output_item.done", "output_index": 0, "item": message})
	if call != nil {
		output = append(output, call)
		s.event("response.output_item.done", object{"type": "response.output_item.done", "output_index": 1, "item": call})
	}
	s.event("response.completed", object{"type": "response.completed", "response": answer("completed", output)})
}

// shellCall calls the tool that runs commands, whose name and arguments depend
// on the model that Codex believes to talk to.
func shellCall(asked request, id string) object {
	for _, tool := range []struct{ name, arguments string }{
		{"exec_command", `{"cmd":"` + Command + `"}`},
		{"shell_command", `{"command":"` + Command + `"}`},
		{"shell", `{"command":["/bin/sh","-c","` + Command + `"]}`},
	} {
		if asked.hasTool(tool.name) {
			return object{
				"type": "function_call", "id": "fc_" + id, "call_id": id, "status": "completed",
				"name": tool.name, "arguments": tool.arguments,
			}
		}
	}
	return nil
}
