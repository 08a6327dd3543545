package render

import "github.com/orchard9/rdev/libs/contract"

// Pipeline colors the status of a pipeline, a workflow or a step of the CI.
func (s Style) Pipeline(status contract.PipelineStatus) string {
	text := Line(string(status))
	switch status {
	case contract.PipelineSuccess:
		return s.Good(text)
	case contract.PipelineFailure, contract.PipelineError, contract.PipelineDeclined:
		return s.Bad(text)
	case contract.PipelineRunning:
		return s.Mark(text)
	case contract.PipelinePending, contract.PipelineCreated, contract.PipelineBlocked:
		return s.Warn(text)
	case contract.PipelineKilled, contract.PipelineCanceled, contract.PipelineSkipped:
		return s.Dim(text)
	}
	return s.Plain(text)
}
