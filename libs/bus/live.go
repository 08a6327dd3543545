package bus

import (
	"fmt"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/nats-io/nats.go"
)

// hub fans live messages out to the readers of this process: one subscription
// for a subject, however many readers there are.
type hub struct {
	nc     *nats.Conn
	mu     sync.Mutex
	topics map[string]*topic
}

// topic is one subscription. Readers may want all of it, or one entity's.
type topic struct {
	sub     *nats.Subscription
	mu      sync.RWMutex
	readers map[string]map[*reader]struct{} // by entity id, "" for all
	count   int                             // under hub.mu
}

// reader is where live messages wait for their reader. Those that find it full
// are dropped: it sees the gap, and reads it from the stream.
type reader struct {
	ch chan *nats.Msg
	// missed is set where a message was dropped that no later one may reveal.
	missed atomic.Bool
}

// readerBuffer is the number of live messages that wait for a slow reader:
// pointers to messages that all readers share.
const readerBuffer = 64

func newReader() *reader { return &reader{ch: make(chan *nats.Msg, readerBuffer)} }

func newHub(nc *nats.Conn) *hub { return &hub{nc: nc, topics: map[string]*topic{}} }

// join has r receive what is published live on subject, of the entity with the
// id, or all where it is empty. The reader has to call leave.
func (h *hub) join(subject, id string, r *reader) (leave func(), err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	t := h.topics[subject]
	if t == nil {
		t = &topic{readers: map[string]map[*reader]struct{}{}}
		if t.sub, err = h.nc.Subscribe(subject, t.deliver); err != nil {
			return nil, fmt.Errorf("subscribe to %s: %w", subject, err)
		}
		h.topics[subject] = t
	}
	t.count++
	t.mu.Lock()
	if t.readers[id] == nil {
		t.readers[id] = map[*reader]struct{}{}
	}
	t.readers[id][r] = struct{}{}
	t.mu.Unlock()
	return func() { h.leave(subject, id, t, r) }, nil
}

func (h *hub) leave(subject, id string, t *topic, r *reader) {
	h.mu.Lock()
	defer h.mu.Unlock()
	t.mu.Lock()
	delete(t.readers[id], r)
	if len(t.readers[id]) == 0 {
		delete(t.readers, id)
	}
	t.mu.Unlock()
	if t.count--; t.count == 0 {
		delete(h.topics, subject)
		_ = t.sub.Unsubscribe() // fails only where the connection is closed
	}
}

// deliver runs on the subscription's goroutine, which NATS ends.
func (t *topic) deliver(m *nats.Msg) {
	subject := m.Header.Get("Nats-Subject")
	id := subject[strings.LastIndexByte(subject, '.')+1:]
	t.mu.RLock()
	defer t.mu.RUnlock()
	for _, key := range []string{id, ""} {
		for r := range t.readers[key] {
			select {
			case r.ch <- m:
			default:
				r.missed.Store(true)
			}
		}
	}
}
