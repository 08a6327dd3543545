package client

import (
	"context"
	"net/http"
	"net/url"
)

// allPages reads a list through all of its pages. read tells what is on one, and
// the cursor of the next, "" on the last.
func allPages[Page, T any](ctx context.Context, c *Client, path string, read func(Page) (some []T, next string)) ([]T, error) {
	var all []T
	query := url.Values{}
	for {
		var page Page
		if _, err := c.do(ctx, call{method: http.MethodGet, path: path, query: query}, &page); err != nil {
			return nil, err
		}
		some, next := read(page)
		all = append(all, some...)
		if next == "" || next == query.Get("cursor") {
			return all, nil
		}
		query.Set("cursor", next)
	}
}
