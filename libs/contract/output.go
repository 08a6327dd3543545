package contract

// Streams of an operation's output.
const (
	OutputStdout = "stdout"
	OutputStderr = "stderr"
	OutputAgent  = "agent"
)

// MaxChunk is the most that a chunk of output carries, in bytes.
const MaxChunk = 64 << 10

// Chunk is a piece of an operation's output. An agent's chunk is one
// [AgentEvent] as JSON; the others are bytes as the command wrote them.
type Chunk struct {
	Operation string // whose it is, set on reading
	Stream    string // stdout, stderr, agent
	Offset    int64  // bytes of stdout or stderr before Data; number of events before it for agent
	// Cursor is where another executor goes on after this chunk: a position in the
	// runner's spool, after its end for what was held back until then, or, of an agent,
	// the number of chunks so far.
	Cursor  int64
	Attempt int
	Data    []byte
	Seq     uint64 // in RDEV_OUTPUT, set on reading
	Prev    uint64 // sequence of the chunk before it, 0 for the first; set on reading
}
