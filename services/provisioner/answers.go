package provisioner

import (
	"context"
	"errors"
	"log/slog"

	"github.com/orchard9/rdev/libs/bus"
	"github.com/orchard9/rdev/libs/contract"
	"github.com/orchard9/rdev/services/provisioner/internal/app"
)

// answer answers the requests of other services until ctx is done. v is nil where
// there is no vault.
func answer(ctx context.Context, conn *bus.Conn, a *app.App, v *app.Vault, log *slog.Logger) error {
	requests, err := conn.Serve(log)
	if err != nil {
		return err
	}
	if err := errors.Join(
		bus.Answer(requests, contract.VerbListProjects, a.ListProjects),
		bus.Answer(requests, contract.VerbSetBudget, a.SetBudget),
		bus.Answer(requests, contract.VerbPlanProject, a.PlanProject),
		bus.Answer(requests, contract.VerbDriftProject, a.Drift),
		bus.Answer(requests, contract.VerbListPipelines, a.ListPipelines),
		bus.Answer(requests, contract.VerbGetPipeline, a.GetPipeline),
		bus.Answer(requests, contract.VerbRunPipeline, a.RunPipeline),
		bus.Answer(requests, contract.VerbRerunPipeline, a.RerunPipeline),
		bus.Answer(requests, contract.VerbCancelPipeline, a.CancelPipeline),
		bus.Answer(requests, contract.VerbPipelineLogs, a.PipelineLogs),
		answerVault(requests, v, contract.VerbPutCredential, (*app.Vault).PutCredential),
		answerVault(requests, v, contract.VerbDeleteCredential, (*app.Vault).DeleteCredential),
		answerVault(requests, v, contract.VerbListCredentials, (*app.Vault).ListCredentials),
		answerVault(requests, v, contract.VerbOpenCredentials, (*app.Vault).OpenCredentials),
		answerVault(requests, v, contract.VerbRotateMaster, (*app.Vault).RotateMaster),
	); err != nil {
		return errors.Join(err, requests.Stop())
	}
	<-ctx.Done()
	return requests.Stop()
}

// answerVault answers a verb of the vault, with UNAVAILABLE where there is none.
func answerVault[Request, Reply any](requests *bus.Service, v *app.Vault, verb string, handle func(*app.Vault, context.Context, Request) (Reply, error)) error {
	return bus.Answer(requests, verb, func(ctx context.Context, request Request) (Reply, error) {
		if v == nil {
			var none Reply
			return none, &contract.Error{Code: contract.CodeUnavailable, Detail: noVault}
		}
		return handle(v, ctx, request)
	})
}
