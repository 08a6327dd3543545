package buildspec

import (
	"fmt"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/orchard9/rdev/libs/contract"
)

// Bounds of the time that a service may take to be ready.
const (
	defaultWithin = time.Minute
	maxWithin     = 10 * time.Minute
)

// caches are those of a step, each of its keys with the values of its environment.
func (p *parser) caches(at string, s step, from sources) []contract.Cache {
	at += ".cache"
	if len(s.Cache) > maxCaches {
		p.wrongAt(at, "has more than %d caches", maxCaches)
		return nil
	}
	var all []contract.Cache
	var places []string
	for i, written := range s.Cache {
		one := fmt.Sprintf("%s[%d]", at, i)
		cache := contract.Cache{Key: p.expand(one+".key", written.Key, from, maxWord)}
		switch {
		case written.Key == "":
			p.wrongAt(one+".key", "is required")
		case slices.ContainsFunc(all, func(c contract.Cache) bool { return c.Key == cache.Key }):
			p.wrongAt(one+".key", "is %q, as that of another cache of the step", cache.Key)
		}
		if len(written.Paths) == 0 {
			p.wrongAt(one+".paths", "is required")
		}
		if !p.unique(one+".paths", written.Paths, maxList) {
			continue
		}
		for j, place := range written.Paths {
			where := fmt.Sprintf("%s.paths[%d]", one, j)
			below, ok := strings.CutPrefix(place, "~/")
			clean := path.Clean(below)
			other := slices.IndexFunc(places, func(known string) bool { return within(known, clean) || within(clean, known) })
			switch {
			case !ok:
				p.wrongAt(where, `must begin with "~/": caches are in the home`)
			case clean == ".":
				p.wrongAt(where, "must be a directory of the home, not all of it")
			case !p.relative(where, below):
			case other >= 0:
				p.wrongAt(where, `overlaps with "~/%s", which is a path of a cache, too`, places[other])
			}
			places = append(places, clean)
			cache.Paths = append(cache.Paths, clean)
		}
		all = append(all, cache)
	}
	return all
}

// within tells whether a clean path is another one, or below it.
func within(outer, inner string) bool { return inner == outer || strings.HasPrefix(inner, outer+"/") }

func (p *parser) artifacts(at string, s step) []string {
	at += ".artifacts"
	if !p.unique(at, s.Artifacts, maxArtifacts) {
		return nil
	}
	var all []string
	for i, pattern := range s.Artifacts {
		where := fmt.Sprintf("%s[%d]", at, i)
		clean := path.Clean(pattern)
		_, err := path.Match(clean, "")
		switch {
		case !p.relative(where, pattern):
		case clean == ".":
			p.wrongAt(where, "must be files of the workspace, not all of it")
		case err != nil:
			p.wrongAt(where, "is not a pattern: a [ has no ]")
		}
		all = append(all, clean)
	}
	return all
}

func (p *parser) services(at string, s step) []contract.Service {
	at += ".services"
	if len(s.Services) > maxServices {
		p.wrongAt(at, "has more than %d services", maxServices)
		return nil
	}
	var all []contract.Service
	for i, written := range s.Services {
		one := fmt.Sprintf("%s[%d]", at, i)
		service := contract.Service{Name: written.Name, Script: written.Run, Ready: written.Ready}
		switch {
		case written.Name == "":
			p.wrongAt(one+".name", "is required")
		case !namePattern.MatchString(written.Name):
			p.wrongAt(one+".name", "is %q, and must be 1 to 40 of a-z, 0-9 and hyphen, and begin with a letter or digit", written.Name)
		case slices.ContainsFunc(all, func(other contract.Service) bool { return other.Name == written.Name }):
			p.wrongAt(one+".name", "is %q, as that of another service of the step", written.Name)
		}
		if strings.TrimSpace(written.Run) == "" {
			p.wrongAt(one+".run", "is required")
		}
		p.text(one+".run", written.Run, maxText)
		p.text(one+".ready", written.Ready, maxText)
		switch {
		case written.Within != "" && !p.written(one+".ready"):
			p.wrongAt(one+".within", "is for services that say with ready when they can be used")
		case written.Within != "":
			service.Within = p.duration(one+".within", written.Within, time.Second, maxWithin)
		case written.Ready != "":
			service.Within = contract.Duration(defaultWithin)
		}
		all = append(all, service)
	}
	return all
}
