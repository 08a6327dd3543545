package gitea

import (
	sdk "code.gitea.io/sdk/gitea"
)

// hookEvents are those of which the webhook tells.
func hookEvents() []string { return []string{"push", "create", "pull_request"} }

// hook has a repository tell of what happens in it. Gitea does not tell the secret of a
// webhook, and does not change it: so there is a new one each time.
func (s *session) hook(f found) error {
	hook := s.forge.config.Hook
	if hook == nil {
		return nil
	}
	if err := s.unhook(f); err != nil {
		return err
	}
	_, response, err := s.CreateRepoHook(f.Owner.UserName, f.Name, sdk.CreateHookOption{
		Type: sdk.HookTypeGitea, Active: true, Events: hookEvents(),
		Config: map[string]string{"url": hook.URL, "content_type": "json", "secret": hook.Secret},
	})
	if err != nil {
		return failed("make the webhook of "+f.FullName, response, err)
	}
	return nil
}

// unhook removes it.
func (s *session) unhook(f found) error {
	hooks, err := s.hooks(f)
	if err != nil {
		return err
	}
	for _, hook := range hooks {
		response, err := s.DeleteRepoHook(f.Owner.UserName, f.Name, hook.ID)
		if err := gone("remove the webhook of "+f.FullName, response, err); err != nil {
			return err
		}
	}
	return nil
}

// hooks are those of a repository that are ours.
func (s *session) hooks(f found) (ours []*sdk.Hook, err error) {
	if s.forge.config.Hook == nil {
		return nil, nil
	}
	hooks, err := all("list the webhooks of "+f.FullName, func(page sdk.ListOptions) ([]*sdk.Hook, *sdk.Response, error) {
		return s.ListRepoHooks(f.Owner.UserName, f.Name, sdk.ListHooksOptions{ListOptions: page})
	})
	for _, hook := range hooks {
		if hook.Config["url"] == s.forge.config.Hook.URL {
			ours = append(ours, hook)
		}
	}
	return ours, err
}
