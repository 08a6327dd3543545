package service

import (
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"time"
)

// reloadEvery is how often the files of a certificate are looked at, at most.
const reloadEvery = time.Second

// TLS is how a server proves who it is with a certificate and its key, in PEM. The
// files are read again when they change, with the next connection: a certificate
// is renewed without a restart. What cannot be read then is logged, and the last
// one serves on.
func TLS(certFile, keyFile string, log *slog.Logger) (*tls.Config, error) {
	if certFile == "" || keyFile == "" {
		return nil, errors.New("TLS needs a certificate and its key: two files")
	}
	p := &pair{files: [2]string{certFile, keyFile}, log: log}
	if err := p.load(); err != nil {
		return nil, err
	}
	return &tls.Config{
		MinVersion:     tls.VersionTLS12,
		NextProtos:     []string{"h2", "http/1.1"},
		GetCertificate: p.get,
	}, nil
}

// pair is a certificate and its key, as their files have them.
type pair struct {
	files [2]string
	log   *slog.Logger

	mu      sync.Mutex
	current *tls.Certificate
	changed [2]time.Time // of the files, as they were read
	looked  time.Time
}

func (p *pair) get(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if time.Since(p.looked) < reloadEvery {
		return p.current, nil
	}
	p.looked = time.Now()
	if changed, err := p.stat(); err == nil && changed == p.changed {
		return p.current, nil
	}
	if err := p.load(); err != nil {
		p.log.Error("the certificate is not read again", "error", err)
	}
	return p.current, nil
}

// load reads both files. One of a pair that is just being replaced does not fit
// the other, and is read again later.
func (p *pair) load() error {
	changed, err := p.stat()
	if err != nil {
		return err
	}
	certificate, err := tls.LoadX509KeyPair(p.files[0], p.files[1])
	if err != nil {
		return fmt.Errorf("certificate %s with key %s: %w", p.files[0], p.files[1], err)
	}
	p.current, p.changed = &certificate, changed
	return nil
}

func (p *pair) stat() (changed [2]time.Time, err error) {
	for i, path := range p.files {
		info, err := os.Stat(path)
		if err != nil {
			return changed, fmt.Errorf("certificate: %w", err)
		}
		changed[i] = info.ModTime()
	}
	return changed, nil
}
