package supervise

import (
	"errors"
	"os"
	"sync"
)

// maxPending is the most input that waits for a program to read it, in bytes.
const maxPending = 64 << 20

var (
	errInputClosed = errors.New("the run takes no input")
	errInputFull   = errors.New("too much input waits to be read")
)

// input feeds a program's standard input from a queue, so that a program that
// does not read keeps nobody waiting.
type input struct {
	mu      sync.Mutex
	more    *sync.Cond
	pending []byte
	closed  bool
}

func newInput(first []byte, keep bool) *input {
	i := &input{pending: first, closed: !keep}
	i.more = sync.NewCond(&i.mu)
	return i
}

// add queues data. All of it or nothing is taken.
func (i *input) add(data []byte, closeAfter bool) error {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.closed {
		return errInputClosed
	}
	if len(i.pending)+len(data) > maxPending {
		return errInputFull
	}
	i.pending = append(i.pending, data...)
	i.closed = closeAfter
	i.more.Signal()
	return nil
}

// end closes the input of a program that is gone.
func (i *input) end() {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.closed, i.pending = true, nil
	i.more.Signal()
}

// feed writes what is queued until the input is closed or the program's end is.
func (i *input) feed(pipe *os.File) {
	defer pipe.Close()
	for {
		i.mu.Lock()
		for len(i.pending) == 0 && !i.closed {
			i.more.Wait()
		}
		data := i.pending
		i.pending = nil
		i.mu.Unlock()
		if len(data) == 0 {
			return
		}
		if _, err := pipe.Write(data); err != nil {
			i.end()
			return
		}
	}
}
