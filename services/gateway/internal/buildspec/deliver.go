package buildspec

import (
	"fmt"
	"maps"
	"regexp"
	"slices"

	"github.com/orchard9/rdev/libs/contract"
)

var (
	// imagePattern is a name of an image with its tag, without a digest: one cannot be given, it results.
	imagePattern = regexp.MustCompile(`^([A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?(:[0-9]{1,5})?/)?` +
		`[a-z0-9]+(([._]|__|-+)[a-z0-9]+)*(/[a-z0-9]+(([._]|__|-+)[a-z0-9]+)*)*(:[A-Za-z0-9_][A-Za-z0-9._-]{0,127})?$`)
	stagePattern     = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$`)
	namespacePattern = regexp.MustCompile(`^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$`)
	rolloutPattern   = regexp.MustCompile(`^(deployment|statefulset|daemonset)/[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?$`)
)

// maxReference is the most characters of the name of an image.
const maxReference = 255

// image is the image of a step, nil where it makes none.
func (p *parser) image(at string, s step, from sources) *contract.Image {
	if s.Image == nil {
		return nil
	}
	p.noWorkdir(at, s, "image.context")
	at += ".image"
	image := contract.Image{Push: s.Image.Push}
	image.Context = p.place(at+".context", s.Image.Context, from)
	image.Dockerfile = p.place(at+".dockerfile", s.Image.Dockerfile, from)
	if image.Target = p.expand(at+".target", s.Image.Target, from, maxWord); image.Target != "" && !stagePattern.MatchString(image.Target) {
		p.wrongAt(at+".target", "is %q, which is no name of a stage", image.Target)
	}
	if len(s.Image.Args) > maxList {
		p.wrongAt(at+".args", "has more than %d arguments", maxList)
		return nil
	}
	for _, name := range slices.Sorted(maps.Keys(s.Image.Args)) {
		where := at + ".args." + name
		p.variable(where, name)
		if image.Args == nil {
			image.Args = map[string]string{}
		}
		image.Args[name] = p.expand(where, s.Image.Args[name], from, maxArgument)
	}
	if len(s.Image.Tags) == 0 {
		p.wrongAt(at+".tags", `is required: names of the image, as "registry.example.com/shop:1.2"`)
	}
	image.Tags = p.words(at+".tags", s.Image.Tags, from)
	for i, tag := range image.Tags {
		if len(tag) > maxReference || !imagePattern.MatchString(tag) {
			p.wrongAt(fmt.Sprintf("%s.tags[%d]", at, i), `is %q, and must be a name of an image, as "registry.example.com/shop:1.2"`, tag)
		}
	}
	return &image
}

// deploy is the deployment of a step, nil where it makes none.
func (p *parser) deploy(at string, s step, from sources) *contract.Deploy {
	if s.Deploy == nil {
		return nil
	}
	p.noWorkdir(at, s, "deploy.kustomize")
	at += ".deploy"
	if !slices.Contains(from.secrets, "KUBECONFIG") {
		p.wrongAt(at, "needs the credential that says which cluster: add secrets: [KUBECONFIG] to the step")
	}
	deploy := contract.Deploy{Kustomize: p.place(at+".kustomize", s.Deploy.Kustomize, from)}
	if s.Deploy.Kustomize == "" {
		p.wrongAt(at+".kustomize", "is required: the directory with a kustomization")
	}
	deploy.Namespace = p.expand(at+".namespace", s.Deploy.Namespace, from, maxWord)
	if deploy.Namespace != "" && !namespacePattern.MatchString(deploy.Namespace) {
		p.wrongAt(at+".namespace", "is %q, which is no name of a namespace", deploy.Namespace)
	}
	deploy.Rollout = p.words(at+".rollout", s.Deploy.Rollout, from)
	for i, what := range deploy.Rollout {
		if !rolloutPattern.MatchString(what) {
			p.wrongAt(fmt.Sprintf("%s.rollout[%d]", at, i), `is %q, and must be a deployment, statefulset or daemonset, as "deployment/shop"`, what)
		}
	}
	return &deploy
}

// noWorkdir notes a directory that would be ignored.
func (p *parser) noWorkdir(at string, s step, instead string) {
	if s.Workdir != "" {
		p.wrongAt(at+".workdir", "is for what runs there; here %s says where", instead)
	}
}

// place is a path in the workspace, "" where none is written.
func (p *parser) place(at, written string, from sources) string {
	if written == "" {
		return ""
	}
	place := p.expand(at, written, from, maxWord)
	p.relative(at, place)
	return place
}

// words are those of a list, with the values of the environment.
func (p *parser) words(at string, list []string, from sources) []string {
	if !p.unique(at, list, maxList) {
		return nil
	}
	var all []string
	for i, word := range list {
		all = append(all, p.expand(fmt.Sprintf("%s[%d]", at, i), word, from, maxWord))
	}
	return all
}
