package woodpecker

import (
	"strconv"
	"strings"
	"time"

	"github.com/orchard9/rdev/libs/contract"
)

// What is told of a pipeline has bounds, in bytes: others write it, and a whole page of a
// list is one message.
const (
	maxWord      = 255
	maxMessage   = 4 << 10
	maxFirstLine = 200
	maxProblems  = 20
)

// maxSeconds is in the year 9999: what comes after is no time in JSON.
const maxSeconds = 253_402_300_799

// pipeline is one as the CI has it.
type pipeline struct {
	Number    int64                   `json:"number"`
	Author    string                  `json:"author"`
	Event     string                  `json:"event"`
	Status    contract.PipelineStatus `json:"status"`
	Created   int64                   `json:"created"` // Unix seconds, 0 for never
	Started   int64                   `json:"started"`
	Finished  int64                   `json:"finished"`
	Commit    string                  `json:"commit"`
	Branch    string                  `json:"branch"`
	Ref       string                  `json:"ref"`
	Message   string                  `json:"message"`
	Variables map[string]string       `json:"variables"`
	Errors    []struct {
		Message   string `json:"message"`
		IsWarning bool   `json:"is_warning"`
	} `json:"errors"`
	Workflows []struct {
		Name     string                  `json:"name"`
		State    contract.PipelineStatus `json:"state"`
		Children []struct {
			ID       int64                   `json:"id"`
			Name     string                  `json:"name"`
			State    contract.PipelineStatus `json:"state"`
			ExitCode int                     `json:"exit_code"`
			Type     string                  `json:"type"`
		} `json:"children"`
	} `json:"workflows"`
}

// brief is a pipeline as lists have it.
func (s *Server) brief(in repository, p pipeline) contract.Pipeline {
	first, _, _ := strings.Cut(p.Message, "\n")
	return contract.Pipeline{
		Number: p.Number, Status: contract.PipelineStatus(word(string(p.Status))), Event: word(p.Event), Branch: word(p.Branch), Ref: word(p.Ref), Commit: word(p.Commit),
		Message: cut(first, maxFirstLine), Author: word(p.Author),
		URL:       s.base + "/repos/" + strconv.FormatInt(in.ID, 10) + "/pipeline/" + strconv.FormatInt(p.Number, 10),
		CreatedAt: time.Unix(min(max(p.Created, 0), maxSeconds), 0).UTC(), StartedAt: moment(p.Started), FinishedAt: moment(p.Finished),
	}
}

// whole is all that is told of a pipeline.
func (s *Server) whole(in repository, p pipeline) contract.Pipeline {
	told := s.brief(in, p)
	told.Message = cut(p.Message, maxMessage)
	for _, problem := range p.Errors[:min(len(p.Errors), maxProblems)] {
		told.Errors = append(told.Errors, contract.PipelineProblem{Message: cut(problem.Message, maxMessage), Warning: problem.IsWarning})
	}
	for _, w := range p.Workflows {
		workflow := contract.PipelineWorkflow{Name: word(w.Name), Status: contract.PipelineStatus(word(string(w.State))), Steps: []contract.PipelineStep{}}
		for _, step := range w.Children {
			workflow.Steps = append(workflow.Steps, contract.PipelineStep{
				ID: step.ID, Name: word(step.Name), Type: word(step.Type), Status: contract.PipelineStatus(word(string(step.State))), ExitCode: step.ExitCode,
			})
		}
		told.Workflows = append(told.Workflows, workflow)
	}
	return told
}

func word(text string) string { return cut(text, maxWord) }

// moment is a time of the CI, nil where it has not come.
func moment(seconds int64) *time.Time {
	if seconds <= 0 || seconds > maxSeconds {
		return nil
	}
	at := time.Unix(seconds, 0).UTC()
	return &at
}
