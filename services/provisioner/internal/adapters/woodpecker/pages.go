package woodpecker

import (
	"context"
	"fmt"
	"maps"
	"net/url"
	"strconv"
	"strings"

	"github.com/orchard9/rdev/libs/contract"
	"github.com/orchard9/rdev/services/provisioner/internal/app"
)

// cursor is where a list goes on: behind the pipeline of a number, which was on a page of
// the CI's. Pages move as pipelines are added, so the number decides.
type cursor struct {
	number int64
	page   int
}

// String is <number>-<page>.
func (c cursor) String() string { return strconv.FormatInt(c.number, 10) + "-" + strconv.Itoa(c.page) }

// maxPage is where a list ends at the latest: a page far behind the last one costs the CI
// as much as any.
const maxPage = 20_000

func parseCursor(text string) (cursor, error) {
	number, page, _ := strings.Cut(text, "-")
	var c cursor
	var err, pageErr error
	c.number, err = strconv.ParseInt(number, 10, 64)
	c.page, pageErr = strconv.Atoi(page)
	if err != nil || pageErr != nil || c.number < 1 || c.page < 1 || c.page > maxPage || c.String() != text {
		const message = "is not one of these pipelines"
		return c, &contract.Error{
			Code: contract.CodeInvalidRequest, Detail: "cursor " + message,
			Fields: []contract.FieldError{{Field: "cursor", Message: message}},
		}
	}
	return c, nil
}

// List implements app.Pipelines.
func (s *Server) List(ctx context.Context, of app.CIOf, after string, limit int) ([]contract.Pipeline, string, error) {
	var behind cursor // nothing where its number is 0
	at := 1
	if after != "" {
		var err error
		if behind, err = parseCursor(after); err != nil {
			return nil, "", err
		}
		at = behind.page
	}
	in, err := s.of(ctx, of)
	if err != nil {
		return nil, "", err
	}
	var list []contract.Pipeline
	var last cursor
	for back := behind.number > 0; at <= maxPage; at++ {
		some, err := s.page(ctx, in, at, nil)
		if err != nil {
			return nil, "", err
		}
		if back && at > 1 && (len(some) == 0 || some[0].Number < behind.number) {
			// Pipelines were removed: what follows may have moved to a page before.
			at -= 2
			continue
		}
		back = false
		for _, p := range some {
			switch {
			case behind.number > 0 && p.Number >= behind.number:
				continue
			case len(list) == limit:
				return list, last.String(), nil
			}
			list = append(list, s.brief(in, p))
			last = cursor{p.Number, at}
		}
		if len(some) < perPage {
			break
		}
	}
	return list, "", nil
}

// page is a page of pipelines, from 1, the newest first.
func (s *Server) page(ctx context.Context, in repository, page int, filter url.Values) ([]pipeline, error) {
	query := url.Values{"page": {strconv.Itoa(page)}, "perPage": {strconv.Itoa(perPage)}}
	maps.Copy(query, filter)
	var some []pipeline
	if err := s.get(ctx, repositoryPath(in.ID)+"/pipelines", query, &some); err != nil {
		return nil, fmt.Errorf("list the pipelines of %s: %w", in.FullName, err)
	}
	return some, nil
}
