package app

import (
	"encoding/base64"
	"maps"
	"math"
	"net/url"
	"path"
	"slices"
	"strconv"
	"strings"

	"github.com/orchard9/rdev/libs/contract"
)

// gitCount is how many settings git finds in its environment: of each the name is in
// GIT_CONFIG_KEY_<n>, from 0 on, and the value in GIT_CONFIG_VALUE_<n>. git reads them from
// 2.31 on.
const gitCount = "GIT_CONFIG_COUNT"

// maskOfBasic is what the token is called where it was masked as git sends it.
const maskOfBasic = contract.RepositoryToken + ":basic"

// withRepository adds the values of a run's credentials, by name, to its environment. Where
// the three of a repository are among them git is told there, too, how it opens that one: so
// no address, argument or file has the token. secrets are what is to be masked, by name: the
// repository's address and user are none then, and what git sends is.
func withRepository(env []string, values map[string]string) (with []string, secrets map[string]string) {
	for _, name := range slices.Sorted(maps.Keys(values)) {
		env = append(env, name+"="+values[name]) // the last of a name wins
	}
	address, user, token := values[contract.RepositoryURL], values[contract.RepositoryUser], values[contract.RepositoryToken]
	count, ok := settings(env)
	if !ok || user == "" || token == "" || !gitOpens(address) {
		return env, values
	}
	basic := base64.StdEncoding.EncodeToString([]byte(user + ":" + token))
	// Redirects are not followed: git would send the header wherever they lead.
	for _, setting := range [][2]string{{"extraHeader", "Authorization: Basic " + basic}, {"followRedirects", "false"}} {
		n := strconv.Itoa(count)
		env = append(env, "GIT_CONFIG_KEY_"+n+"=http."+address+"."+setting[0], "GIT_CONFIG_VALUE_"+n+"="+setting[1])
		count++
	}
	secrets = maps.Clone(values)
	delete(secrets, contract.RepositoryURL)
	delete(secrets, contract.RepositoryUser)
	secrets[maskOfBasic] = basic
	return append(env, gitCount+"="+strconv.Itoa(count)), secrets
}

// settings is how many settings of git an environment has. ok is false where git would not
// take them, nor any more of them: it says so itself.
func settings(env []string) (count int, ok bool) {
	for _, variable := range slices.Backward(env) {
		if value, found := strings.CutPrefix(variable, gitCount+"="); found && value != "" {
			n, err := strconv.ParseUint(value, 10, 31)
			return int(n), err == nil && n < math.MaxInt32-1
		} else if found {
			break
		}
	}
	return 0, true
}

// gitOpens tells whether an address is that of one repository, which git can be told to open
// over HTTP: with a host and a path, and with nothing in it that stands for others.
func gitOpens(address string) bool {
	u, err := url.Parse(address)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.User != nil || u.Hostname() == "" || strings.Contains(u.Host, "*") {
		return false
	}
	whole := strings.TrimSuffix(u.Path, "/")
	return strings.Trim(whole, "/") != "" && whole == path.Clean(whole) && !strings.ContainsAny(address, "?#")
}
