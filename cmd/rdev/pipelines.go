package main

import (
	"context"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"github.com/orchard9/rdev/cmd/rdev/internal/client"
	"github.com/orchard9/rdev/cmd/rdev/internal/render"
	"github.com/orchard9/rdev/libs/contract"
)

func newPipelinesCommand(c *cli) *cobra.Command {
	cmd := group("pipelines", "List, run, cancel and read the pipelines of a project's repository",
		`A pipeline is run by the CI of the installation, as .woodpecker.yml in the repository of
the project says: for each push, and when it is asked to. Pipelines have numbers, which
count those of the repository. Without -p, the project is RDEV_PROJECT, or the only one
there is.`)
	cmd.Aliases = []string{"pipeline"}
	cmd.Example = `  rdev pipelines list -p shop
  rdev pipelines run --branch main --var TARGET=staging
  rdev pipelines logs 7`
	cmd.AddCommand(
		newPipelinesListCommand(c), newPipelinesGetCommand(c), newPipelinesRunCommand(c),
		newPipelinesRerunCommand(c), newPipelinesCancelCommand(c), newPipelinesLogsCommand(c),
	)
	return cmd
}

// inCI connects, and finds the project whose pipelines are meant.
func (c *cli) inCI(ctx context.Context, given string) (*client.Client, string, error) {
	api, err := c.connect()
	if err != nil {
		return nil, "", err
	}
	project, err := c.project(ctx, api, given)
	return api, project, err
}

// pipelineNumber is an argument that names a pipeline.
func pipelineNumber(cmd *cobra.Command, text string) (int64, error) {
	number, err := strconv.ParseInt(text, 10, 64)
	if err != nil || number < 1 {
		return 0, usagef(cmd, "%q is not the number of a pipeline", text)
	}
	return number, nil
}

func newPipelinesListCommand(c *cli) *cobra.Command {
	project, limit, all := "", 0, false
	cmd := &cobra.Command{
		Use: "list", Aliases: []string{"ls"}, Short: "List pipelines, newest first", Args: arguments(),
		Example: `  rdev pipelines list -p shop
  rdev pipelines list --all -o json | jq -r '.[] | select(.status == "failure") | .number'`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			api, project, err := c.inCI(cmd.Context(), project)
			if err != nil {
				return err
			}
			pipelines, more, err := readPages(limit, all, func(limit int, cursor string) ([]contract.Pipeline, string, error) {
				page, err := api.Pipelines(cmd.Context(), project, limit, cursor)
				return page.Pipelines, page.NextCursor, err
			})
			if err != nil {
				return err
			}
			return c.showPipelines(cmd, pipelines, more)
		},
	}
	c.projectFlag(cmd, &project, "of this project")
	cmd.Flags().IntVar(&limit, "limit", 0, "at most so many (the gateway's default)")
	cmd.Flags().BoolVar(&all, "all", false, "all pages")
	return cmd
}

func (c *cli) showPipelines(cmd *cobra.Command, pipelines []contract.Pipeline, more bool) error {
	out := cmd.OutOrStdout()
	if c.json() {
		return writeJSON(out, pipelines)
	}
	if len(pipelines) == 0 {
		c.note(cmd, "no pipelines")
		return nil
	}
	style, now := c.style(out), time.Now()
	var rows [][]string
	for _, p := range pipelines {
		rows = append(rows, []string{
			strconv.FormatInt(p.Number, 10), style.Pipeline(p.Status), render.Line(p.Event), render.Line(p.Branch), first(shortCommit(p.Commit), "-"),
			render.Age(now, p.CreatedAt), pipelineTook(now, p), render.Cut(render.Line(p.Message), 60),
		})
	}
	header := []string{"NUMBER", style.Plain("STATUS"), "EVENT", "BRANCH", "COMMIT", "AGE", "TOOK", "MESSAGE"}
	if err := render.Table(out, header, rows); err != nil {
		return err
	}
	c.noteMore(cmd, more)
	return nil
}

func shortCommit(commit string) string {
	commit = render.Line(commit)
	return commit[:min(len(commit), 8)]
}

// pipelineTook is how long a pipeline has run, "-" before it starts.
func pipelineTook(now time.Time, p contract.Pipeline) string {
	return render.Took(now, contract.Operation{StartedAt: p.StartedAt, FinishedAt: p.FinishedAt})
}

func newPipelinesGetCommand(c *cli) *cobra.Command {
	project := ""
	cmd := &cobra.Command{
		Use: "get NUMBER", Short: "Show one pipeline, and its steps", Args: arguments("NUMBER"),
		Example: `  rdev pipelines get 7 -p shop
  rdev pipelines get 7 -o json | jq -r .url`,
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(cmd *cobra.Command, args []string) error {
			number, err := pipelineNumber(cmd, args[0])
			if err != nil {
				return err
			}
			api, project, err := c.inCI(cmd.Context(), project)
			if err != nil {
				return err
			}
			pipeline, err := api.Pipeline(cmd.Context(), project, number)
			if err != nil {
				return err
			}
			if c.json() {
				return writeJSON(cmd.OutOrStdout(), pipeline)
			}
			return c.showPipeline(cmd, pipeline)
		},
	}
	c.projectFlag(cmd, &project, "of this project")
	return cmd
}

// showPipeline writes what is known of a pipeline, a fact to a line, and then its steps.
func (c *cli) showPipeline(cmd *cobra.Command, p contract.Pipeline) error {
	out, now := cmd.OutOrStdout(), time.Now()
	style, facts := c.style(out), newFacts(out)
	facts.row("number", strconv.FormatInt(p.Number, 10))
	facts.row("status", style.Pipeline(p.Status))
	facts.row("event", render.Line(p.Event))
	facts.row("branch", render.Line(p.Branch))
	facts.row("commit", render.Line(p.Commit))
	facts.row("message", render.Cut(render.Line(p.Message), 200))
	facts.row("author", render.Line(p.Author))
	facts.row("created", moment(now, &p.CreatedAt))
	facts.row("started", moment(now, p.StartedAt))
	facts.row("finished", moment(now, p.FinishedAt))
	facts.row("page", render.Line(p.URL))
	for _, problem := range p.Errors {
		name := "error"
		if problem.Warning {
			name = "warning"
		}
		facts.row(name, render.Cut(render.Line(problem.Message), 400))
	}
	if err := facts.Flush(); err != nil {
		return err
	}
	var rows [][]string
	for _, workflow := range p.Workflows {
		for _, step := range workflow.Steps {
			exit := "-"
			if step.Status.Ended() {
				exit = strconv.Itoa(step.ExitCode)
			}
			rows = append(rows, []string{
				render.Line(workflow.Name), render.Line(step.Name), style.Pipeline(step.Status), exit, strconv.FormatInt(step.ID, 10),
			})
		}
	}
	return showPart(cmd, []string{"WORKFLOW", "STEP", style.Plain("STATUS"), "EXIT", "ID"}, rows)
}
