package app

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/orchard9/rdev/libs/contract"
)

// logPage is how many bytes of lines a page of logs has at the most, with one for the end
// of each: even where JSON writes every one of them as six it fits into a reply.
const logPage = 128 << 10

// PipelineLogs returns a page of what a step of a pipeline has said so far.
func (a *App) PipelineLogs(ctx context.Context, request contract.GetPipelineLogs) (contract.PipelineLogs, error) {
	from := 0
	if request.Cursor != "" {
		var err error
		if from, err = strconv.Atoi(request.Cursor); err != nil || from < 0 {
			found := fields{}
			found.wrong("cursor", "is not one of these logs")
			return contract.PipelineLogs{}, found.err()
		}
	}
	of, err := a.ciOf(ctx, request.Project)
	if err != nil {
		return contract.PipelineLogs{}, err
	}
	lines, err := a.Pipelines.Logs(ctx, of, request.Number, request.Step)
	if err != nil {
		return contract.PipelineLogs{}, ofCI(err, fmt.Sprintf("step %d of %s", request.Step, pipelineOf(request.Project, request.Number)))
	}
	return pageOfLogs(lines, from), nil
}

// pageOfLogs is the page that begins with a line, counted from 0. It has one line at the
// least, for of one that is longer than a page it has the beginning.
func pageOfLogs(lines []string, from int) contract.PipelineLogs {
	page := contract.PipelineLogs{Lines: []string{}}
	size := 0
	for i := min(from, len(lines)); i < len(lines); i++ {
		line := cutLine(strings.ToValidUTF8(lines[i], "\uFFFD"))
		if size += len(line) + 1; size > logPage {
			next := strconv.Itoa(i)
			page.NextCursor = &next
			break
		}
		page.Lines = append(page.Lines, line)
	}
	return page
}

// cutLine leaves of a long line what a page holds.
func cutLine(line string) string {
	const cut = " … (cut)"
	if len(line) < logPage {
		return line
	}
	end := logPage - len(cut) - 1
	for !utf8.RuneStart(line[end]) {
		end--
	}
	return line[:end] + cut
}
