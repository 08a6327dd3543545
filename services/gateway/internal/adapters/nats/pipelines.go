package nats

import (
	"context"

	"github.com/orchard9/rdev/libs/bus"
	"github.com/orchard9/rdev/libs/contract"
)

// ListPipelines lists the pipelines of a project.
func (g Gateway) ListPipelines(ctx context.Context, list contract.ListPipelines) (contract.PipelineList, error) {
	return bus.Call[contract.ListPipelines, contract.PipelineList](ctx, g.Conn, contract.ServiceProvisioner, contract.VerbListPipelines, list)
}

// Pipeline reads a pipeline.
func (g Gateway) Pipeline(ctx context.Context, which contract.GetPipeline) (contract.Pipeline, error) {
	return bus.Call[contract.GetPipeline, contract.Pipeline](ctx, g.Conn, contract.ServiceProvisioner, contract.VerbGetPipeline, which)
}

// RunPipeline starts a pipeline.
func (g Gateway) RunPipeline(ctx context.Context, run contract.RunPipeline) (contract.PipelineStarted, error) {
	return bus.Call[contract.RunPipeline, contract.PipelineStarted](ctx, g.Conn, contract.ServiceProvisioner, contract.VerbRunPipeline, run)
}

// RerunPipeline starts a pipeline once more.
func (g Gateway) RerunPipeline(ctx context.Context, which contract.GetPipeline) (contract.Pipeline, error) {
	return bus.Call[contract.GetPipeline, contract.Pipeline](ctx, g.Conn, contract.ServiceProvisioner, contract.VerbRerunPipeline, which)
}

// CancelPipeline ends a pipeline.
func (g Gateway) CancelPipeline(ctx context.Context, which contract.GetPipeline) (contract.Pipeline, error) {
	return bus.Call[contract.GetPipeline, contract.Pipeline](ctx, g.Conn, contract.ServiceProvisioner, contract.VerbCancelPipeline, which)
}

// PipelineLogs reads what a step of a pipeline has said.
func (g Gateway) PipelineLogs(ctx context.Context, of contract.GetPipelineLogs) (contract.PipelineLogs, error) {
	return bus.Call[contract.GetPipelineLogs, contract.PipelineLogs](ctx, g.Conn, contract.ServiceProvisioner, contract.VerbPipelineLogs, of)
}
