package cloudflare

import (
	"io"
	"net/http"
	"strings"
	"testing"
)

// said is an answer: headers are each as "Name: value".
type said struct {
	status  int
	body    string
	headers []string
}

// script gives one answer after the other, as no Cloudflare does.
type script struct {
	answers []said
	asked   int
}

func (s *script) RoundTrip(r *http.Request) (*http.Response, error) {
	answer := s.answers[min(s.asked, len(s.answers)-1)]
	s.asked++
	header := http.Header{"Content-Type": {"application/json"}}
	for _, line := range answer.headers {
		name, value, _ := strings.Cut(line, ": ")
		header.Set(name, value)
	}
	return &http.Response{StatusCode: answer.status, Header: header, Body: io.NopCloser(strings.NewReader(answer.body)), Request: r}, nil
}

func says(status int, body string, headers ...string) said { return said{status, body, headers} }

func page(records ...string) said {
	return says(http.StatusOK, `{"success":true,"errors":[],"result":[`+strings.Join(records, ",")+`]}`)
}

func TestOfAListIsTakenWhatWasAskedForAndOnce(t *testing.T) {
	t.Parallel()
	d := newWorld(t).dns()
	const one, two = `{"id":"1","type":"A","name":"shop.example.com","content":"192.0.2.1"}`, `{"id":"2","type":"A","name":"Shop.example.com","content":"192.0.2.2"}`
	const another = `{"id":"3","type":"A","name":"example.com","content":"192.0.2.3"}`
	s := &script{answers: []said{page(another, one), page(one, two), page()}}
	d.client.Transport = s
	records, err := d.list(t.Context(), claim{zone: "z", zoneName: "example.com"}, host)
	if err != nil || len(records) != 2 || records[0].ID != "1" || records[1].ID != "2" || s.asked != 3 {
		t.Errorf("asked %d times: %v, %+v", s.asked, err, records)
	}
}

func TestAnswersThatNoCloudflareGivesAreErrors(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		answer said
		says   string
		asked  int
	}{
		"no success":            {says(200, `{"success":false,"errors":[{"code":1}],"result":[]}`), "the answer has no list", 1},
		"no list":               {says(200, `{"success":true,"result":null}`), "the answer has no list", 1},
		"null":                  {says(200, `null`), "the answer has no list", 1},
		"a page of HTML":        {says(200, `<html>`, "Content-Type: text/html"), "text/html", 1},
		"no JSON":               {says(200, `{"success":`), "unexpected EOF", 1},
		"HTML of a refusal":     {says(403, `<html>`, "Content-Type: text/html"), "PROVISIONER_CLOUDFLARE_TOKEN_FILE", 1},
		"HTML and a pause":      {says(429, `<html>`, "Content-Type: text/html", "Retry-After: 300"), "try again in 300 seconds", 1},
		"too much":              {says(200, `{"success":true,"result":[`+strings.Repeat(" ", answerLimit)+`]}`), "too large", 1},
		"a long message":        {says(422, `{"errors":[{"code":1,"message":"`+strings.Repeat("ä", messageLimit)+`"}]}`), "ä…", 1},
		"another try, asked":    {says(400, `{"errors":[{"code":1}]}`, "X-Should-Retry: true"), "refuses the record", 1},
		"a list without an end": {page(`{"id":"1","type":"A","name":"a.example.com","content":"192.0.2.1"}`), "more than 50 pages", maxPages},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := newWorld(t).dns()
			s := &script{answers: []said{c.answer}}
			d.client.Transport = s
			_, err := d.list(t.Context(), claim{zone: "z", zoneName: "example.com"}, host)
			if err == nil || !strings.Contains(err.Error(), c.says) || len(err.Error()) > 500 || s.asked != c.asked {
				t.Errorf("asked %d times: %v", s.asked, err)
			}
		})
	}
}

// This header the library believes before the other.
func TestAPauseInMillisecondsIsNotWaitedFor(t *testing.T) {
	t.Parallel()
	d := newWorld(t).dns()
	s := &script{answers: []said{says(500, `{}`, "Retry-After-Ms: 300000", "Retry-After: 0"), page()}}
	d.client.Transport = s
	if _, err := d.list(t.Context(), claim{zone: "z", zoneName: "example.com"}, host); err != nil || s.asked != 2 {
		t.Errorf("asked %d times: %v", s.asked, err)
	}
}
