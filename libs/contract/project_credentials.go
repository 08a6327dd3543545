package contract

// Credentials of a project with which commands reach what it has.
const (
	DatabaseURL = "DATABASE_URL"
	CacheURL    = "REDIS_URL"

	// A command that has these three needs to say nothing more of the repository: the
	// executor tells git.
	RepositoryURL   = "REPOSITORY_URL" // to clone from, without a user
	RepositoryUser  = "REPOSITORY_USER"
	RepositoryToken = "REPOSITORY_TOKEN"
	// RepositoryKey is instead of a user and a token, for SSH at the address RepositoryURL.
	RepositoryKey = "REPOSITORY_KEY"
)

// RepositoryCredentials are the names of the three with which git reaches a repository over
// HTTP.
func RepositoryCredentials() []string {
	return []string{RepositoryURL, RepositoryUser, RepositoryToken}
}
