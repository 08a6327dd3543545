package contract

// ServiceExecutor is the name under which the executor answers requests.
const ServiceExecutor = "executor"

// VerbAgents asks the executor which agents it knows: an [AgentList].
const VerbAgents = "agents"

// AgentTraits is what is to be known of an agent before it runs.
type AgentTraits struct {
	Name      string
	TellsCost bool // what a run cost, and so keeps limits of money
	Asks      bool // takes PermissionsAsk
}

// Agents are the agents that there are, whichever executor runs them.
func Agents() []AgentTraits {
	return []AgentTraits{
		{Name: "claude-code", TellsCost: true, Asks: true},
		{Name: "opencode", TellsCost: true},
		{Name: "codex"},
		{Name: "gemini"},
	}
}

// AgentNamed finds an agent by its name, or false.
func AgentNamed(name string) (AgentTraits, bool) {
	for _, agent := range Agents() {
		if agent.Name == name {
			return agent, true
		}
	}
	return AgentTraits{}, false
}

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
	// AsksPermissions is true where it takes permissions "ask".
	AsksPermissions bool `json:"asks_permissions"`
}
