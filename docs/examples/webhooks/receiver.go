// A receiver of rdev's webhooks, with nothing but the standard library. verify is the
// part to take along.
//
//	WEBHOOK_SECRET=whsec_… go run receiver.go
package main

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strconv"
	"strings"
	"time"
)

// tolerance is how far a request's clock may be from ours. An older one may be one
// that somebody has recorded, and sends again.
const tolerance = 5 * time.Minute

// verify returns nil where a request comes from whoever knows the secret, whsec_…,
// and is as it was sent. The body has to be what came over the wire: JSON that was
// parsed and written again is not.
func verify(secret string, header http.Header, body []byte, now time.Time) error {
	key, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(secret, "whsec_"))
	if err != nil || len(key) == 0 {
		return errors.New("the secret is none")
	}
	id, timestamp := header.Get("webhook-id"), header.Get("webhook-timestamp")
	seconds, err := strconv.ParseInt(timestamp, 10, 64)
	if id == "" || err != nil {
		return errors.New("webhook-id or webhook-timestamp is missing")
	}
	if age := now.Sub(time.Unix(seconds, 0)); age > tolerance || age < -tolerance {
		return errors.New("the request is too old, or a clock is wrong")
	}
	mac := hmac.New(sha256.New, key)
	fmt.Fprintf(mac, "%s.%s.", id, timestamp)
	mac.Write(body)
	want := mac.Sum(nil)
	// While a secret is rotated there are two signatures; ours may be either.
	for _, signature := range strings.Fields(header.Get("webhook-signature")) {
		version, encoded, _ := strings.Cut(signature, ",")
		got, err := base64.StdEncoding.DecodeString(encoded)
		if version == "v1" && err == nil && hmac.Equal(got, want) { // in constant time
			return nil
		}
	}
	return errors.New("no signature is right")
}

func main() {
	secret, addr := os.Getenv("WEBHOOK_SECRET"), os.Getenv("ADDR")
	if addr == "" {
		addr = "127.0.0.1:8081"
	}
	listener, err := net.Listen("tcp", addr)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	fmt.Printf("listening on http://%s\n", listener.Addr())
	server := &http.Server{ReadTimeout: 10 * time.Second, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, 8<<20))
		if err != nil {
			http.Error(w, "the body cannot be read", http.StatusBadRequest)
			return
		}
		if err := verify(secret, r.Header, body, time.Now()); err != nil {
			http.Error(w, err.Error(), http.StatusUnauthorized)
			return
		}
		// Put it into a queue and answer; leave out what has a webhook-id that was here
		// before.
		fmt.Printf("%s %s %s\n", r.Header.Get("rdev-seq"), r.Header.Get("ce-type"), r.Header.Get("webhook-id"))
		w.WriteHeader(http.StatusNoContent)
	})}
	fmt.Fprintln(os.Stderr, server.Serve(listener))
	os.Exit(1)
}
