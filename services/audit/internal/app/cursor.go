package app

import (
	"encoding/base64"
	"errors"
	"strconv"
	"strings"
	"time"

	"github.com/orchard9/rdev/libs/contract"
)

var errCursor = errors.New("is not a cursor of this list")

// encodeCursor hides what a cursor is made of: its readers must not build one.
func encodeCursor(k Key) string {
	text := strconv.FormatInt(k.CreatedAt.UnixMicro(), 10) + "." + k.ID
	return base64.RawURLEncoding.EncodeToString([]byte(text))
}

func decodeCursor(cursor string) (Key, error) {
	text, err := base64.RawURLEncoding.Strict().DecodeString(cursor)
	if err != nil {
		return Key{}, errCursor
	}
	micros, id, _ := strings.Cut(string(text), ".")
	at, err := strconv.ParseInt(micros, 10, 64)
	if err != nil || !contract.ValidOperationID(id) {
		return Key{}, errCursor
	}
	created := time.UnixMicro(at).UTC()
	if created.Year() < -1 || created.Year() > 10_000 {
		return Key{}, errCursor
	}
	return Key{CreatedAt: created, ID: id}, nil
}
