package supervise

import (
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"

	"github.com/orchard9/rdev/services/executor/internal/domain"
)

// pump moves what a program prints to its spool. One thread reads both pipes, in
// the order in which the kernel says that they became readable, so that the
// order between the streams is kept as well as two pipes can keep it.
type pump struct {
	spool   *Spool
	epoll   int
	open    map[int32]domain.Stream // by descriptor
	pipes   []*os.File
	abandon *os.File // closed to stop
	done    chan struct{}
	failed  chan error
}

// newPump makes the pipes; the program's ends are returned.
func newPump(spool *Spool) (p *pump, stdout, stderr *os.File, err error) {
	epoll, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return nil, nil, nil, fmt.Errorf("watch output: %w", err)
	}
	p = &pump{
		spool: spool, epoll: epoll, open: map[int32]domain.Stream{},
		done: make(chan struct{}), failed: make(chan error, 1),
	}
	if stdout, err = p.pipe(domain.Stdout); err != nil {
		return nil, nil, nil, err
	}
	if stderr, err = p.pipe(domain.Stderr); err != nil {
		return nil, nil, nil, err
	}
	if p.abandon, err = p.pipe(0); err != nil {
		return nil, nil, nil, err
	}
	return p, stdout, stderr, nil
}

func (p *pump) pipe(stream domain.Stream) (*os.File, error) {
	var fds [2]int
	if err := unix.Pipe2(fds[:], unix.O_CLOEXEC); err != nil {
		return nil, fmt.Errorf("make pipe: %w", err)
	}
	fd := int32(fds[0])
	event := unix.EpollEvent{Events: unix.EPOLLIN, Fd: fd}
	if err := unix.EpollCtl(p.epoll, unix.EPOLL_CTL_ADD, fds[0], &event); err != nil {
		return nil, fmt.Errorf("watch output: %w", err)
	}
	p.open[fd] = stream
	p.pipes = append(p.pipes, os.NewFile(uintptr(fds[0]), "output"))
	return os.NewFile(uintptr(fds[1]), "output"), nil
}

// run reads until nobody holds the pipes open any more, or stop is called.
func (p *pump) run() {
	defer close(p.done)
	defer func() {
		for _, pipe := range p.pipes {
			_ = pipe.Close()
		}
		_ = unix.Close(p.epoll)
	}()
	events := make([]unix.EpollEvent, len(p.open))
	for len(p.open) > 1 {
		n, err := unix.EpollWait(p.epoll, events, -1)
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil {
			p.fail(fmt.Errorf("watch output: %w", err))
			return
		}
		for _, event := range events[:n] {
			stream := p.open[event.Fd]
			if stream == 0 {
				return
			}
			p.read(event.Fd, stream)
		}
	}
}

// read stores what one pipe holds now, at most a frame.
func (p *pump) read(fd int32, stream domain.Stream) {
	n, err := unix.Read(int(fd), p.spool.Room())
	switch {
	case errors.Is(err, unix.EINTR):
	case err != nil || n == 0:
		if err != nil {
			p.fail(fmt.Errorf("read output: %w", err))
		}
		_ = unix.EpollCtl(p.epoll, unix.EPOLL_CTL_DEL, int(fd), nil)
		delete(p.open, fd)
	default:
		if err := p.spool.Append(stream, n); err != nil {
			p.fail(err)
		}
	}
}

func (p *pump) fail(err error) {
	select {
	case p.failed <- err:
	default:
	}
}

// stop ends run where a stranger keeps the pipes open.
func (p *pump) stop() { _ = p.abandon.Close() }
