package service_test

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"

	"go.uber.org/goleak"

	"github.com/orchard9/rdev/libs/service"
)

// journal notes what happens, in order.
type journal struct {
	mu    sync.Mutex
	lines []string
}

func (j *journal) note(line string) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.lines = append(j.lines, line)
}

func (j *journal) part(name string, up *sync.WaitGroup, end error) service.Part {
	up.Add(1)
	return service.Part{Name: name, Run: func(ctx context.Context) error {
		up.Done()
		<-ctx.Done()
		j.note(name)
		return end
	}}
}

func TestWhatStartsLastStopsFirst(t *testing.T) {
	defer goleak.VerifyNone(t)
	var j journal
	var up sync.WaitGroup
	ctx, stop := context.WithCancel(t.Context())
	parts := []service.Part{j.part("store", &up, nil), j.part("worker", &up, context.Canceled), j.part("api", &up, nil)}
	go func() { up.Wait(); stop() }()
	if err := service.Run(ctx, parts...); err != nil {
		t.Error(err)
	}
	if want := []string{"api", "worker", "store"}; !slices.Equal(j.lines, want) {
		t.Errorf("stopped in order %v, want %v", j.lines, want)
	}
}

func TestAPartThatFailsStopsTheOthers(t *testing.T) {
	defer goleak.VerifyNone(t)
	broken := errors.New("broken")
	for name, end := range map[string]error{"worker: broken": broken, "worker ended by itself": nil} {
		var j journal
		var up sync.WaitGroup
		parts := []service.Part{
			j.part("store", &up, nil),
			{Name: "worker", Run: func(context.Context) error { up.Wait(); return end }},
			j.part("api", &up, errors.New("slow")),
		}
		err := service.Run(t.Context(), parts...)
		if err == nil || !strings.Contains(err.Error(), name) || !strings.Contains(err.Error(), "api: slow") || end != nil && !errors.Is(err, broken) {
			t.Errorf("error %v, want %q and the one of api", err, name)
		}
		if want := []string{"api", "store"}; !slices.Equal(j.lines, want) {
			t.Errorf("stopped in order %v, want %v", j.lines, want)
		}
	}
}

func TestAnOpenStreamEndsInOrderAndARequestUnderWayIsAnswered(t *testing.T) {
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	streams, endStreams := context.WithCancel(t.Context())
	inside := make(chan struct{})
	mux := http.NewServeMux()
	mux.HandleFunc("/stream", func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, "begin\n")
		_ = http.NewResponseController(w).Flush()
		<-streams.Done()
		_, _ = io.WriteString(w, "end\n")
	})
	mux.HandleFunc("/slow", func(w http.ResponseWriter, r *http.Request) {
		close(inside)
		<-streams.Done()
		if r.Context().Err() != nil {
			t.Error("a request under way is cut off")
		}
		_, _ = io.WriteString(w, "answered")
	})
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- service.Serve(ctx, listener, mux, endStreams) }()

	url := "http://" + listener.Addr().String()
	stream := get(t, url+"/stream")
	lines := bufio.NewReader(stream)
	if line, err := lines.ReadString('\n'); line != "begin\n" {
		t.Fatalf("line %q, %v", line, err)
	}
	var answer []byte
	var wg sync.WaitGroup
	wg.Go(func() { answer, _ = io.ReadAll(get(t, url+"/slow")) })
	<-inside
	stop()
	if err := <-ended; err != nil {
		t.Errorf("serve: %v", err)
	}
	wg.Wait()
	if rest, err := io.ReadAll(lines); string(rest) != "end\n" || err != nil {
		t.Errorf("the stream ended with %q, %v", rest, err)
	}
	if string(answer) != "answered" {
		t.Errorf("the request was answered %q", answer)
	}
}

func get(t *testing.T, url string) io.Reader {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Error(err)
		return strings.NewReader("")
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Error(err)
		return strings.NewReader("")
	}
	t.Cleanup(func() { _ = response.Body.Close() })
	return response.Body
}
