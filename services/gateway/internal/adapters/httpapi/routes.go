package httpapi

import (
	"net/http"
	"time"

	"github.com/orchard9/rdev/libs/api"
	"github.com/orchard9/rdev/libs/contract"
	"github.com/orchard9/rdev/services/gateway/internal/domain"
)

// anyKey is the scope of routes that every key may use.
const anyKey domain.Scope = ""

// route is one call of the API that needs a key.
type route struct {
	method, path string
	// scope is what the key has to have; where the path names a project, the key has
	// to be good for that, too.
	scope domain.Scope
	// timeout is the deadline, 0 where the handler sets its own.
	timeout time.Duration
	handler handler
	// query names all parameters that it takes.
	query []string
}

// routes is who may do what: the whole of it.
func (h *handlers) routes() []route {
	const (
		get, put, post, patch, del = http.MethodGet, http.MethodPut, http.MethodPost, http.MethodPatch, http.MethodDelete
		fast, lookup, standard     = api.TimeoutFastLookup, api.TimeoutLookup, api.TimeoutStandard
	)
	dry, yes, no := []string{"dry_run"}, true, false
	return []route{
		// What may wait for the end of an operation sets its own deadlines: see accept.
		{post, "/projects", domain.ProjectsWrite, 0, h.createProject, dry},
		{get, "/projects", domain.ProjectsRead, fast, h.listProjects, []string{"limit", "cursor", "min_seq"}},
		{get, "/projects/{project}", domain.ProjectsRead, fast, h.getProject, nil},
		{get, "/projects/{project}/budget", domain.ProjectsRead, fast, h.getProjectBudget, nil},
		{put, "/projects/{project}/budget", domain.BudgetsWrite, standard, h.putProjectBudget, nil},
		{del, "/projects/{project}", domain.ProjectsWrite, 0, h.deleteProject, []string{"keep", "dry_run"}},
		{post, "/projects/{project}/repair", domain.ProjectsWrite, 0, h.repairProject, dry},
		{get, "/projects/{project}/drift", domain.ProjectsRead, timeoutForesee, h.getDrift, nil},
		{get, "/projects/{project}/domains", domain.ProjectsRead, fast, h.listDomains, nil},
		{post, "/projects/{project}/domains", domain.ProjectsWrite, 0, h.addDomain, dry},
		{del, "/projects/{project}/domains/{host}", domain.ProjectsWrite, 0, h.removeDomain, dry},
		{get, "/projects/{project}/components", domain.ProjectsRead, fast, h.listComponents, nil},
		{post, "/projects/{project}/components", domain.ProjectsWrite, 0, h.addComponents, dry},
		{post, "/projects/{project}/database", domain.ProjectsWrite, 0, h.withChange(contract.ProjectChange{Database: &yes}), dry},
		{del, "/projects/{project}/database", domain.ProjectsWrite, 0, h.withChange(contract.ProjectChange{Database: &no}), dry},
		{post, "/projects/{project}/database/rotate", domain.ProjectsWrite, 0, h.withChange(rotation(contract.ResourceDatabase)), dry},
		{post, "/projects/{project}/cache", domain.ProjectsWrite, 0, h.withChange(contract.ProjectChange{Cache: &yes}), dry},
		{del, "/projects/{project}/cache", domain.ProjectsWrite, 0, h.withChange(contract.ProjectChange{Cache: &no}), dry},
		{post, "/projects/{project}/cache/rotate", domain.ProjectsWrite, 0, h.withChange(rotation(contract.ResourceCache)), dry},
		{post, "/projects/{project}/repository/rotate", domain.ProjectsWrite, 0, h.withChange(rotation(contract.ResourceAccess)), dry},
		{post, "/projects/{project}/commands", domain.CommandsRun, 0, h.runCommand, nil},
		{get, "/projects/{project}/pipelines", domain.ProjectsRead, lookup, h.listPipelines, []string{"limit", "cursor"}},
		{post, "/projects/{project}/pipelines", domain.ProjectsWrite, standard, h.runPipeline, nil},
		{get, "/projects/{project}/pipelines/{pipeline}", domain.ProjectsRead, lookup, h.getPipeline, nil},
		{post, "/projects/{project}/pipelines/{pipeline}/cancel", domain.ProjectsWrite, standard, h.cancelPipeline, nil},
		{post, "/projects/{project}/pipelines/{pipeline}/rerun", domain.ProjectsWrite, standard, h.rerunPipeline, nil},
		{get, "/projects/{project}/pipelines/{pipeline}/logs/{step}", domain.ProjectsRead, lookup, h.getPipelineLogs, []string{"cursor"}},

		{get, "/operations", domain.OperationsRead, fast, h.listOperations, []string{"state", "project", "kind", "since", "limit", "cursor", "min_seq"}},
		{get, "/operations/{id}", domain.OperationsRead, 0, h.getOperation, []string{"as_of_seq"}},
		{post, "/operations/{id}/cancel", domain.OperationsCancel, 0, h.cancelOperation, nil},
		{post, "/operations/{id}/approvals/{approval}", domain.OperationsApprove, 0, h.decideApproval, nil},
		{post, "/work", domain.WorkWrite, 0, h.runWork, nil},
		{post, "/work/bulk", domain.WorkWrite, 0, h.runBulkWork, nil},
		{get, "/work", domain.WorkRead, fast, h.listWork, []string{"state", "project", "kind", "since", "limit", "cursor", "min_seq"}},
		{get, "/work/stats", domain.WorkRead, fast, h.workStats, []string{"project"}},
		{get, "/work/{work}", domain.WorkRead, 0, h.getWork, nil},
		{post, "/work/{work}/cancel", domain.WorkWrite, 0, h.cancelWork, nil},
		{post, "/work/{work}/retry", domain.WorkWrite, 0, h.retryWork, nil},
		{post, "/builds", domain.WorkWrite, 0, h.runBuild, []string{"dry_run"}},
		{get, "/builds", domain.WorkRead, fast, h.listBuilds, []string{"state", "project", "since", "limit", "cursor", "min_seq"}},
		{get, "/builds/{build}", domain.WorkRead, 0, h.getBuild, nil},
		{post, "/builds/{build}/cancel", domain.WorkWrite, 0, h.cancelBuild, nil},
		{post, "/builds/{build}/rerun", domain.WorkWrite, 0, h.rerunBuild, nil},
		{get, "/builds/{build}/artifacts", domain.WorkRead, fast, h.listBuildArtifacts, nil},
		{get, "/builds/{build}/output", domain.OperationsRead, 0, h.counted(h.streamBuildOutput), []string{"from_seq", "follow", "step"}},
		{get, "/builds/{build}/output/ws", domain.OperationsRead, 0, h.counted(h.streamBuildOutputWS), []string{"from_seq", "follow", "step"}},
		{get, "/workers", domain.WorkRead, fast, h.listWorkers, nil},
		{post, "/workers/{worker}/drain", domain.Admin, standard, h.drainWorker, nil},
		{post, "/workers/{worker}/resume", domain.Admin, standard, h.resumeWorker, nil},

		{get, "/approvals", domain.OperationsRead, fast, h.listApprovals, []string{"project", "limit", "cursor"}},
		{get, "/operations/{id}/events", domain.OperationsRead, fast, h.getHistory, nil},
		{get, "/operations/{id}/artifacts", domain.OperationsRead, fast, h.listArtifacts, nil},
		{get, "/operations/{id}/artifacts/*", domain.OperationsRead, 0, h.counted(h.getArtifact), nil},
		{get, "/operations/{id}/output", domain.OperationsRead, 0, h.counted(h.streamOutput), []string{"from_seq", "follow"}},
		{get, "/operations/{id}/output/ws", domain.OperationsRead, 0, h.counted(h.streamOutputWS), []string{"from_seq", "follow"}},
		{get, "/events", domain.OperationsRead, 0, h.counted(h.streamEvents), []string{"type", "project", "from_seq"}},

		{post, "/webhooks", domain.WebhooksWrite, standard, h.createWebhook, nil},
		{get, "/webhooks", domain.WebhooksRead, fast, h.listWebhooks, []string{"limit", "cursor"}},
		{get, "/webhooks/{webhook}", domain.WebhooksRead, fast, h.getWebhook, nil},
		{patch, "/webhooks/{webhook}", domain.WebhooksWrite, standard, h.updateWebhook, nil},
		{del, "/webhooks/{webhook}", domain.WebhooksWrite, standard, h.deleteWebhook, nil},
		{post, "/webhooks/{webhook}/rotate", domain.WebhooksWrite, standard, h.rotateWebhook, nil},
		{post, "/webhooks/{webhook}/enable", domain.WebhooksWrite, standard, h.enableWebhook, nil},
		{post, "/webhooks/{webhook}/test", domain.WebhooksWrite, timeoutTestWebhook, h.testWebhook, nil},
		{post, "/webhooks/{webhook}/redeliver", domain.WebhooksWrite, standard, h.redeliverAll, nil},
		{get, "/webhooks/{webhook}/deliveries", domain.WebhooksRead, fast, h.listDeliveries, []string{"status", "type", "limit", "cursor"}},
		{post, "/webhooks/{webhook}/deliveries/{delivery}/redeliver", domain.WebhooksWrite, standard, h.redeliverOne, nil},

		{post, "/keys", domain.KeysAdmin, standard, h.createKey, nil},
		{get, "/keys", domain.KeysAdmin, fast, h.listKeys, []string{"limit", "cursor"}},
		{get, "/keys/self", anyKey, fast, h.getOwnKey, nil},
		{get, "/keys/self/budget", anyKey, fast, h.getOwnBudget, nil},
		{get, "/keys/{key}/budget", domain.KeysAdmin, fast, h.getKeyBudget, nil},
		{put, "/keys/{key}/budget", domain.KeysAdmin, standard, h.putKeyBudget, nil},
		{get, "/keys/{key}", domain.KeysAdmin, fast, h.getKey, nil},
		{post, "/keys/{key}/rotate", domain.KeysAdmin, standard, h.rotateKey, nil},
		{del, "/keys/{key}", domain.KeysAdmin, standard, h.revokeKey, nil},

		{put, "/credentials/{name}", domain.CredentialsWrite, standard, h.putCredential, nil},
		{del, "/credentials/{name}", domain.CredentialsWrite, standard, h.deleteCredential, nil},
		{get, "/credentials", domain.CredentialsRead, fast, h.listCredentials, []string{"limit", "cursor"}},
		{put, "/projects/{project}/credentials/{name}", domain.CredentialsWrite, standard, h.putCredential, nil},
		{del, "/projects/{project}/credentials/{name}", domain.CredentialsWrite, standard, h.deleteCredential, nil},
		{get, "/projects/{project}/credentials", domain.CredentialsRead, fast, h.listCredentials, []string{"limit", "cursor"}},
		{post, "/vault/rotate-master", domain.Admin, api.TimeoutHeavyWrite, h.rotateMaster, nil},

		{get, "/agents", anyKey, fast, h.listAgents, nil},
		{get, "/templates", anyKey, fast, h.listTemplates, nil},
		{get, "/templates/{template}", anyKey, fast, h.getTemplate, templateQuery()},
	}
}
