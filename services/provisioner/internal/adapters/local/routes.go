package local

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strconv"

	"github.com/orchard9/rdev/services/provisioner/internal/domain"
)

// Routes implements app.Routes: the hosts below localhost, all of which are this machine.
// A Proxy leads what comes in for them to the ports of projects.
type Routes struct {
	directory

	port int
}

// OpenRoutes keeps the routes of projects whose workspaces are below a directory; port is
// the one on which the Proxy is reached.
func OpenRoutes(dir string, port int) (*Routes, error) {
	if port < 1 || port > 65535 {
		return nil, fmt.Errorf("routes: %d is no port", port)
	}
	opened, err := openDirectory(dir)
	if err != nil {
		return nil, fmt.Errorf("routes: %w", err)
	}
	return &Routes{opened, port}, nil
}

// Plan implements app.Routes.
func (r *Routes) Plan(_ context.Context, slug, host string) (string, error) {
	what := "route of " + host
	if wrong := check(slug, host); wrong != "" {
		return what, userError("%s", wrong)
	}
	has, err := r.projectAt(host)
	if err == nil && has != "" && has != slug {
		err = taken(host, has)
	}
	return what, err
}

// Create implements app.Routes. A project of a time without ports is given one.
func (r *Routes) Create(_ context.Context, slug, host string) (string, error) {
	if wrong := check(slug, host); wrong != "" {
		return "", userError("%s", wrong)
	}
	there, err := r.there(slug)
	if err == nil && !there {
		err = fmt.Errorf("project %s has no workspace", slug)
	}
	if err == nil {
		err = r.givePort(slug)
	}
	if err == nil {
		err = r.lead(host, slug)
	}
	if err != nil {
		return "", fmt.Errorf("route of %s: %w", host, err)
	}
	return r.urlOf(host), nil
}

// Remove implements app.Routes.
func (r *Routes) Remove(_ context.Context, slug, host string) error {
	if check(slug, host) != "" {
		return nil // which could not be made
	}
	if err := r.forgetHost(host, slug); err != nil {
		return fmt.Errorf("route of %s: %w", host, err)
	}
	return nil
}

// Verify implements app.Routes.
func (r *Routes) Verify(_ context.Context, slug, host string) (differences []string, err error) {
	if wrong := check(slug, host); wrong != "" {
		return []string{wrong}, nil
	}
	has, err := r.projectAt(host)
	switch {
	case err != nil:
		return nil, err
	case has == "":
		differences = append(differences, fmt.Sprintf("the host %s leads nowhere", host))
	case has != slug:
		differences = append(differences, fmt.Sprintf("the host %s leads to the project %s", host, has))
	}
	port, err := r.portOf(slug)
	if errors.Is(err, errNoPort) {
		return append(differences, fmt.Sprintf("the project %s has no port", slug)), nil
	}
	if err != nil {
		return nil, err
	}
	others, err := r.taken(slug)
	if others[port] {
		differences = append(differences, fmt.Sprintf("the port %d of the project %s is another project's, too", port, slug))
	}
	return differences, err
}

// Find tells the project that a host leads to, and its port; slug is "" where there is none.
func (r *Routes) Find(_ context.Context, host string) (slug string, port int, err error) {
	slug, err = r.projectAt(host)
	if err != nil || slug == "" {
		return "", 0, err
	}
	port, err = r.portOf(slug)
	if errors.Is(err, errNoPort) {
		return "", 0, nil
	}
	return slug, port, err
}

func (r *Routes) urlOf(host string) string {
	if r.port == 80 {
		return "http://" + host
	}
	return "http://" + net.JoinHostPort(host, strconv.Itoa(r.port))
}

// check says why a host cannot lead to a project of that slug, "" where it can.
func check(slug, host string) string {
	if !domain.ValidSlug(slug) {
		return fmt.Sprintf("%q is not a slug", slug)
	}
	if canonical, ok := hostIn(host); !ok || canonical != host {
		return fmt.Sprintf("%q is not a host of this machine, as %s.localhost is: others need projects on Kubernetes, or a proxy of your own before the project's port",
			host, slug)
	}
	return ""
}
