package woodpeckertest

import (
	"cmp"
	"encoding/json"
	"net/http"
	"slices"
	"strconv"
)

// pipeline is one as the API has it. Lists have it without workflows.
type pipeline struct {
	ID           int64             `json:"id"`
	Number       int64             `json:"number"`
	Author       string            `json:"author"`
	Parent       int64             `json:"parent"` // id
	Event        string            `json:"event"`
	Status       string            `json:"status"`
	Errors       []Problem         `json:"errors"`
	Created      int64             `json:"created"`
	Updated      int64             `json:"updated"`
	Started      int64             `json:"started"`
	Finished     int64             `json:"finished"`
	Commit       string            `json:"commit"`
	Branch       string            `json:"branch"`
	Ref          string            `json:"ref"`
	ForgeURL     string            `json:"forge_url"`
	Workflows    []workflow        `json:"workflows,omitempty"`
	ChangedFiles []string          `json:"changed_files"`
	Variables    map[string]string `json:"variables"`
	Message      string            `json:"message"`
	Sender       string            `json:"sender"`
	Version      int               `json:"version"`

	logs map[int64][]string // by step
}

// Problem is an entry of errors.
type Problem struct {
	Type      string `json:"type"`
	Message   string `json:"message"`
	IsWarning bool   `json:"is_warning"`
}

type workflow struct {
	ID         int64  `json:"id"`
	PipelineID int64  `json:"pipeline_id"`
	PID        int64  `json:"pid"`
	Name       string `json:"name"`
	State      string `json:"state"`
	Children   []step `json:"children"`
}

type step struct {
	ID       int64  `json:"id"`
	UUID     string `json:"uuid"`
	PID      int64  `json:"pid"`
	PPID     int64  `json:"ppid"`
	Name     string `json:"name"`
	State    string `json:"state"`
	ExitCode int    `json:"exit_code"`
	Type     string `json:"type"`
}

// Branch says for which events a branch has pipelines. A branch of which nothing was said
// is not there; main is, with push and manual.
func (s *Server) Branch(repository, branch string, events ...string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.pipelined[repository+"@"+branch] = events
}

// Push makes the pipeline of a push.
func (s *Server) Push(repository, branch, message string) (number int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.create(s.named(repository), pipeline{Event: "push", Branch: branch, Message: message}).Number
}

// Purge removes a pipeline.
func (s *Server) Purge(repository string, number int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	in := s.named(repository)
	in.pipelines = slices.DeleteFunc(in.pipelines, func(p *pipeline) bool { return p.Number == number })
}

// Set has a pipeline, and its step, come to a status. One that is "running" has started,
// others have ended.
func (s *Server) Set(repository string, number int64, status string, exitCode int, problems ...Problem) {
	s.mu.Lock()
	defer s.mu.Unlock()
	p := s.named(repository).pipeline(number)
	s.clock++
	p.Status, p.Errors = status, problems
	p.Started = cmp.Or(p.Started, s.clock)
	if status != "running" {
		p.Finished = s.clock
	}
	p.Workflows[0].State = status
	p.Workflows[0].Children[0].State, p.Workflows[0].Children[0].ExitCode = status, exitCode
}

// Say has the step of a pipeline put out lines.
func (s *Server) Say(repository string, number int64, lines ...string) (step int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	p := s.named(repository).pipeline(number)
	step = p.Workflows[0].Children[0].ID
	p.logs[step] = append(p.logs[step], lines...)
	return step
}

func (r *repo) pipeline(number int64) *pipeline {
	i := slices.IndexFunc(r.pipelines, func(p *pipeline) bool { return p.Number == number })
	if i < 0 {
		return nil
	}
	return r.pipelines[i]
}

// create adds a pending pipeline with one step.
func (s *Server) create(in *repo, p pipeline) *pipeline {
	s.clock++
	p.ID, p.Number = s.next(), 1
	if len(in.pipelines) > 0 {
		p.Number = in.pipelines[len(in.pipelines)-1].Number + 1
	}
	p.Author, p.Sender, p.Status, p.Created, p.Updated, p.Version = "rdev-ci", "rdev-ci", "pending", s.clock, s.clock, 1
	p.Commit, p.Ref, p.ForgeURL = "0f6d3b9e1c2a4f5e8d7c6b5a49382716f0e1d2c3", "refs/heads/"+p.Branch, "https://forge.example/"+in.name+"/commit/0f6d3b9e"
	p.ChangedFiles, p.logs = []string{}, map[int64][]string{}
	p.Workflows = []workflow{{ID: s.next(), PipelineID: p.ID, PID: 1, Name: "woodpecker", State: "pending"}}
	p.Workflows[0].Children = []step{{ID: s.next(), UUID: strconv.FormatInt(s.lastID, 16), PID: 2, PPID: 1, Name: "test", State: "pending", Type: "commands"}}
	in.pipelines = append(in.pipelines, &p)
	return &p
}

// eventsOf are the events for which a branch has pipelines; ok is false where the branch
// is not there.
func (s *Server) eventsOf(in *repo, branch string) (events []string, ok bool) {
	events, ok = s.pipelined[in.name+"@"+branch]
	if !ok && branch == "main" {
		return []string{"push", "manual"}, true
	}
	return events, ok
}

func (s *Server) postPipeline(w http.ResponseWriter, r *http.Request, in *repo) {
	var body struct {
		Branch    string
		Variables map[string]string
	}
	err := json.Unmarshal(readBody(r), &body)
	events, there := s.eventsOf(in, body.Branch)
	switch {
	case err != nil:
		plain(w, http.StatusBadRequest, err.Error())
	case !there:
		w.WriteHeader(http.StatusInternalServerError)
	case !slices.Contains(events, "manual"):
		w.WriteHeader(http.StatusNoContent) // nothing was made
	default:
		answer(w, s.create(in, pipeline{Event: "manual", Branch: body.Branch, Variables: body.Variables, Message: "MANUAL PIPELINE @ " + body.Branch}))
	}
}

func (s *Server) listPipelines(w http.ResponseWriter, r *http.Request, in *repo) {
	query := r.URL.Query()
	page, err := strconv.Atoi(cmp.Or(query.Get("page"), "1"))
	perPage, perErr := strconv.Atoi(cmp.Or(query.Get("perPage"), "50"))
	if err != nil || perErr != nil {
		plain(w, http.StatusBadRequest, "page and perPage are numbers")
		return
	}
	page, perPage = max(page, 1), min(max(perPage, 1), 50)
	list := []pipeline{}
	for _, p := range slices.Backward(in.pipelines) {
		is := func(name, value string) bool { return query.Get(name) == "" || query.Get(name) == value }
		if is("branch", p.Branch) && is("event", p.Event) && is("status", p.Status) && is("ref", p.Ref) {
			brief := *p
			brief.Workflows = nil
			list = append(list, brief)
		}
	}
	from := min((page-1)*perPage, len(list))
	answer(w, list[from:min(from+perPage, len(list))])
}

// latestPipeline is the newest of a push, although there may be a newer one of another
// event.
func (s *Server) latestPipeline(w http.ResponseWriter, r *http.Request, in *repo) {
	branch := cmp.Or(r.URL.Query().Get("branch"), "main")
	for _, p := range slices.Backward(in.pipelines) {
		if p.Event == "push" && p.Branch == branch {
			answer(w, p)
			return
		}
	}
	w.WriteHeader(http.StatusNotFound)
}

// inPipeline finds the pipeline of the path.
func (s *Server) inPipeline(next func(http.ResponseWriter, *http.Request, *repo, *pipeline)) func(http.ResponseWriter, *http.Request, *repo) {
	return func(w http.ResponseWriter, r *http.Request, in *repo) {
		number, err := strconv.ParseInt(r.PathValue("number"), 10, 64)
		if err != nil {
			plain(w, http.StatusBadRequest, err.Error())
			return
		}
		p := in.pipeline(number)
		if p == nil {
			w.WriteHeader(http.StatusNotFound)
			return
		}
		next(w, r, in, p)
	}
}

func (s *Server) getPipeline(w http.ResponseWriter, _ *http.Request, _ *repo, p *pipeline) {
	answer(w, p)
}

func (s *Server) restartPipeline(w http.ResponseWriter, _ *http.Request, in *repo, p *pipeline) {
	answer(w, s.create(in, pipeline{Parent: p.ID, Event: p.Event, Branch: p.Branch, Message: p.Message, Variables: p.Variables}))
}

// cancelPipeline ends what waits or runs. What it answers of others was not measured.
func (s *Server) cancelPipeline(w http.ResponseWriter, _ *http.Request, _ *repo, p *pipeline) {
	switch p.Status {
	case "pending":
		p.Status = "canceled"
	case "running":
		p.Status = "killed"
	default:
		plain(w, http.StatusBadRequest, "Cannot cancel a non-running or non-pending or non-blocked pipeline")
		return
	}
	s.clock++
	p.Finished = s.clock
	w.WriteHeader(http.StatusNoContent)
}

// getLogs answers lines as bytes, which are base64 in JSON. The fields beside data were not
// measured.
func (s *Server) getLogs(w http.ResponseWriter, r *http.Request, _ *repo, p *pipeline) {
	id, err := strconv.ParseInt(r.PathValue("step"), 10, 64)
	if err != nil {
		plain(w, http.StatusBadRequest, err.Error())
		return
	}
	if p.Workflows[0].Children[0].ID != id {
		w.WriteHeader(http.StatusNotFound)
		return
	}
	list := []map[string]any{}
	for i, text := range p.logs[id] {
		list = append(list, map[string]any{"id": i + 1, "step_id": id, "time": i, "line": i, "data": []byte(text), "type": 0})
	}
	answer(w, list)
}
