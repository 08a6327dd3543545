package contract

// ServiceExecutor is the name under which the executor answers requests.
const ServiceExecutor = "executor"

// VerbAgents asks the executor which agents it knows: an [AgentList].
const VerbAgents = "agents"

// AgentList is what GET /agents answers.
type AgentList struct {
	Agents []AgentInfo `json:"agents"`
}

// AgentInfo describes an agent and the version of its CLI that rdev drives.
type AgentInfo struct {
	Name         string `json:"name"`
	Package      string `json:"package"` // npm
	Version      string `json:"version"`
	Binary       string `json:"binary"`
	ReportsUsage bool   `json:"reports_usage"` // tells how many tokens a run took
	ReportsCost  bool   `json:"reports_cost"`  // tells what they cost
}
