package nats

import (
	"context"

	"github.com/orchard9/rdev/libs/bus"
	"github.com/orchard9/rdev/libs/contract"
)

// The methods of this file implement httpapi.Queries: each asks the service that
// keeps the table.

// Operations lists operations.
func (g Gateway) Operations(ctx context.Context, list contract.ListOperations) (contract.OperationList, error) {
	return bus.Call[contract.ListOperations, contract.OperationList](ctx, g.Conn, contract.ServiceAudit, contract.VerbListOperations, list)
}

// Operation reads an operation that may be older than the log.
func (g Gateway) Operation(ctx context.Context, id string) (contract.Operation, error) {
	return bus.Call[contract.GetOperation, contract.Operation](ctx, g.Conn, contract.ServiceAudit, contract.VerbGetOperation, contract.GetOperation{ID: id})
}

// OperationHistory reads what happened to an operation that may be older than the log.
func (g Gateway) OperationHistory(ctx context.Context, query contract.GetOperationHistory) (contract.OperationHistory, error) {
	return bus.Call[contract.GetOperationHistory, contract.OperationHistory](ctx, g.Conn, contract.ServiceAudit, contract.VerbOperationHistory, query)
}

// Projects lists projects.
func (g Gateway) Projects(ctx context.Context, list contract.ListProjects) (contract.ProjectList, error) {
	return bus.Call[contract.ListProjects, contract.ProjectList](ctx, g.Conn, contract.ServiceProvisioner, contract.VerbListProjects, list)
}

// SetBudget gives a project another budget.
func (g Gateway) SetBudget(ctx context.Context, set contract.SetBudget) (contract.Project, error) {
	return bus.Call[contract.SetBudget, contract.Project](ctx, g.Conn, contract.ServiceProvisioner, contract.VerbSetBudget, set)
}

// PlanProject asks what an operation on a project would do.
func (g Gateway) PlanProject(ctx context.Context, request contract.PlanProject) (contract.ProjectPlan, error) {
	return bus.Call[contract.PlanProject, contract.ProjectPlan](ctx, g.Conn, contract.ServiceProvisioner, contract.VerbPlanProject, request)
}

// DriftProject asks how a project differs from what it is to be.
func (g Gateway) DriftProject(ctx context.Context, request contract.ProjectDrift) (contract.ProjectDifferences, error) {
	return bus.Call[contract.ProjectDrift, contract.ProjectDifferences](ctx, g.Conn, contract.ServiceProvisioner, contract.VerbDriftProject, request)
}

// Agents lists the agents that can be asked.
func (g Gateway) Agents(ctx context.Context) (contract.AgentList, error) {
	return bus.Call[struct{}, contract.AgentList](ctx, g.Conn, contract.ServiceExecutor, contract.VerbAgents, struct{}{})
}

// CreateWebhook registers an endpoint.
func (g Gateway) CreateWebhook(ctx context.Context, webhook contract.CreateWebhook) (contract.Webhook, error) {
	return bus.Call[contract.CreateWebhook, contract.Webhook](ctx, g.Conn, contract.ServiceNotifier, contract.VerbCreateWebhook, webhook)
}

// Webhooks lists endpoints.
func (g Gateway) Webhooks(ctx context.Context, list contract.ListWebhooks) (contract.WebhookList, error) {
	return bus.Call[contract.ListWebhooks, contract.WebhookList](ctx, g.Conn, contract.ServiceNotifier, contract.VerbListWebhooks, list)
}

// Webhook reads an endpoint.
func (g Gateway) Webhook(ctx context.Context, id string) (contract.Webhook, error) {
	return bus.Call[contract.GetWebhook, contract.Webhook](ctx, g.Conn, contract.ServiceNotifier, contract.VerbGetWebhook, contract.GetWebhook{ID: id})
}

// UpdateWebhook changes an endpoint.
func (g Gateway) UpdateWebhook(ctx context.Context, update contract.UpdateWebhook) (contract.Webhook, error) {
	return bus.Call[contract.UpdateWebhook, contract.Webhook](ctx, g.Conn, contract.ServiceNotifier, contract.VerbUpdateWebhook, update)
}

// RotateWebhook gives an endpoint a new secret.
func (g Gateway) RotateWebhook(ctx context.Context, rotate contract.RotateWebhook) (contract.Webhook, error) {
	return bus.Call[contract.RotateWebhook, contract.Webhook](ctx, g.Conn, contract.ServiceNotifier, contract.VerbRotateWebhook, rotate)
}

// EnableWebhook has an endpoint tried again at once.
func (g Gateway) EnableWebhook(ctx context.Context, id string) (contract.Webhook, error) {
	return bus.Call[contract.GetWebhook, contract.Webhook](ctx, g.Conn, contract.ServiceNotifier, contract.VerbEnableWebhook, contract.GetWebhook{ID: id})
}

// TestWebhook sends an endpoint an event that means nothing.
func (g Gateway) TestWebhook(ctx context.Context, id string) (contract.DeliveryAttempt, error) {
	return bus.Call[contract.GetWebhook, contract.DeliveryAttempt](ctx, g.Conn, contract.ServiceNotifier, contract.VerbTestWebhook, contract.GetWebhook{ID: id})
}

// DeleteWebhook removes an endpoint.
func (g Gateway) DeleteWebhook(ctx context.Context, id string) error {
	_, err := bus.Call[contract.DeleteWebhook, contract.WebhookDeleted](ctx, g.Conn, contract.ServiceNotifier, contract.VerbDeleteWebhook, contract.DeleteWebhook{ID: id})
	return err
}

// Deliveries lists what was sent to an endpoint.
func (g Gateway) Deliveries(ctx context.Context, list contract.ListDeliveries) (contract.DeliveryList, error) {
	return bus.Call[contract.ListDeliveries, contract.DeliveryList](ctx, g.Conn, contract.ServiceNotifier, contract.VerbListDeliveries, list)
}

// Redeliver has an endpoint sent again what it was sent, or what it missed.
func (g Gateway) Redeliver(ctx context.Context, redeliver contract.Redeliver) (contract.Redelivering, error) {
	return bus.Call[contract.Redeliver, contract.Redelivering](ctx, g.Conn, contract.ServiceNotifier, contract.VerbRedeliver, redeliver)
}

// PutCredential sets the value of a credential.
func (g Gateway) PutCredential(ctx context.Context, put contract.PutCredential) (contract.Credential, error) {
	return bus.Call[contract.PutCredential, contract.Credential](ctx, g.Conn, contract.ServiceProvisioner, contract.VerbPutCredential, put)
}

// DeleteCredential removes a credential.
func (g Gateway) DeleteCredential(ctx context.Context, project, name string) error {
	_, err := bus.Call[contract.DeleteCredential, contract.CredentialDeleted](ctx, g.Conn, contract.ServiceProvisioner, contract.VerbDeleteCredential,
		contract.DeleteCredential{Name: name, Project: project})
	return err
}

// Credentials lists credentials, without their values.
func (g Gateway) Credentials(ctx context.Context, list contract.ListCredentials) (contract.CredentialList, error) {
	return bus.Call[contract.ListCredentials, contract.CredentialList](ctx, g.Conn, contract.ServiceProvisioner, contract.VerbListCredentials, list)
}

// RotateMaster has the vault wrap its data keys under the current master key.
func (g Gateway) RotateMaster(ctx context.Context) (contract.MasterRotated, error) {
	return bus.Call[contract.RotateMaster, contract.MasterRotated](ctx, g.Conn, contract.ServiceProvisioner, contract.VerbRotateMaster, contract.RotateMaster{})
}
