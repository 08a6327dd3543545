package local

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"syscall"
	"time"
)

// askTimeout bounds one question.
const askTimeout = 2 * time.Second

// Ask has a server do one command, as a user where that is not "", and returns the first
// line of the answer. It is for who starts a server, and needs no more than that.
func Ask(ctx context.Context, address, user, password string, command ...string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", address)
	if err != nil {
		return "", err
	}
	defer conn.Close()
	stop := context.AfterFunc(ctx, func() { _ = conn.Close() })
	defer stop()
	commands := [][]string{command}
	if user != "" {
		commands = [][]string{{"AUTH", user, password}, command}
	}
	answers, answer := bufio.NewReader(conn), ""
	for _, words := range commands {
		if _, err := conn.Write(request(words)); err != nil {
			return "", err
		}
		if answer, err = answers.ReadString('\n'); err != nil {
			return "", err
		}
		if problem, ok := strings.CutPrefix(answer, "-"); ok {
			return "", errors.New(strings.TrimSpace(problem))
		}
	}
	return strings.TrimSpace(answer), nil
}

// request is a command in the protocol of Redis.
func request(words []string) []byte {
	text := fmt.Appendf(nil, "*%d\r\n", len(words))
	for _, word := range words {
		text = fmt.Appendf(text, "$%d\r\n%s\r\n", len(word), word)
	}
	return text
}

func (s *Server) ask(ctx context.Context, command ...string) (string, error) {
	password, _ := s.url.User.Password()
	return Ask(ctx, s.url.Host, Admin, password, command...)
}

// evict ends a server of this directory that was left behind: as we hold the lock nobody
// supervises it. What else listens there is an error.
func (s *Server) evict(ctx context.Context) error {
	_, err := s.ask(ctx, "PING")
	if errors.Is(err, syscall.ECONNREFUSED) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("something else listens at %s: %w", s.url.Host, err)
	}
	for {
		_, err := s.ask(ctx, "SHUTDOWN", "NOSAVE")
		if errors.Is(err, syscall.ECONNREFUSED) {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("a server that was left behind at %s does not end: %w", s.url.Host, err)
		case <-time.After(20 * time.Millisecond):
		}
	}
}
