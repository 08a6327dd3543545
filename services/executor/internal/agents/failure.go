package agents

import (
	"regexp"
	"strconv"
	"strings"

	"github.com/orchard9/rdev/libs/contract"
)

// problem is something that went wrong, in the words of an agent.
type problem struct {
	httpStatus int    // of the model's API, 0 where it is not told
	code       string // the agent's own
	message    string
}

var (
	// statusText finds an HTTP status in a sentence or in JSON: "unexpected
	// status 401 Unauthorized", "API Error: 403 …", `"code":400`.
	statusText = regexp.MustCompile(`(?i)(?:\bstatus(?: code)?:? |API Error: |"code":\s*)([45]\d\d)\b`)
	// colors are what some CLIs write around the words of their errors.
	colors = regexp.MustCompile(`\x1b\[[0-9;]*m`)
)

// statusIn finds an HTTP error status in what an agent says, 0 where there is none.
func statusIn(text string) int {
	found := statusText.FindStringSubmatch(text)
	if found == nil {
		return 0
	}
	status, err := strconv.Atoi(found[1])
	if err != nil { // three digits are a number
		return 0
	}
	return status
}

// class says who can mend a problem. The status of the model's API decides
// where it is known; otherwise the agent's code and words have to.
func (p problem) class() contract.FailureClass {
	switch status := p.httpStatus; {
	case status == 401 || status == 403:
		return contract.ClassAuth
	case status == 402:
		return contract.ClassBudget
	case status == 429:
		return contract.ClassRateLimit
	case status == 408 || status >= 500:
		return contract.ClassInfrastructure
	case status == 404:
		return contract.ClassUser // the model, which the user named
	case status != 0:
		return contract.ClassAgent // it sent what the model's API refuses
	}
	words := strings.ToLower(p.code + " " + p.message)
	for _, known := range []struct {
		class contract.FailureClass
		signs []string
	}{
		{contract.ClassAuth, []string{
			"authentication", "unauthorized", "not logged in", "api key", "auth method", "missing environment variable",
		}},
		{contract.ClassBudget, []string{"credit balance", "insufficient_quota", "billing"}},
		{contract.ClassRateLimit, []string{"rate_limit", "rate limit", "quota"}},
		{contract.ClassInfrastructure, []string{
			"connection_failed", "connection refused", "econnrefused", "econnreset", "etimedout", "enotfound",
			"server_error", "high demand", "overloaded", "fetch failed", "terminated", "stream disconnected",
			"error sending request", "stream closed",
		}},
		{contract.ClassUser, []string{
			"no conversation found", "session not found", "invalid session", "no rollout found", "model_not_found",
		}},
	} {
		for _, sign := range known.signs {
			if strings.Contains(words, sign) {
				return known.class
			}
		}
	}
	return contract.ClassAgent
}
