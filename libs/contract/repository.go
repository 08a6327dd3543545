package contract

// Credentials of a project with which git reaches its repository over HTTP. A command that
// has all three needs to say nothing more: the executor tells git.
const (
	RepositoryURL   = "REPOSITORY_URL" // to clone from, without a user
	RepositoryUser  = "REPOSITORY_USER"
	RepositoryToken = "REPOSITORY_TOKEN"
)

// RepositoryCredentials are the names of the three.
func RepositoryCredentials() []string {
	return []string{RepositoryURL, RepositoryUser, RepositoryToken}
}
