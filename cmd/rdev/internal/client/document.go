package client

import "encoding/json"

// readDocument decodes a document into its fields, and keeps it as it came: it may have
// more than this client knows of.
func readDocument(data []byte, fields any, raw *json.RawMessage) error {
	if err := json.Unmarshal(data, fields); err != nil {
		return err
	}
	*raw = append(json.RawMessage(nil), data...)
	return nil
}

// writeDocument is the document as it came, or one of its fields where it did not come
// from a gateway.
func writeDocument(raw json.RawMessage, fields any) ([]byte, error) {
	if raw == nil {
		return json.Marshal(fields)
	}
	return raw, nil
}
