package cloudflaretest_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/orchard9/rdev/services/provisioner/internal/adapters/cloudflare/cloudflaretest"
)

// call asks the server as any program does, and tells the status, the code of the error, and
// the contents of the records.
func call(t *testing.T, token, method, url, body string) string {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Authorization", "Bearer "+token)
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return "nothing"
	}
	defer response.Body.Close()
	var answer struct {
		Success bool
		Errors  []struct{ Code int }
		Result  json.RawMessage
	}
	if err := json.NewDecoder(response.Body).Decode(&answer); err != nil {
		return fmt.Sprintf("%d half", response.StatusCode)
	}
	told := fmt.Sprint(response.StatusCode)
	if answer.Success != (response.StatusCode < 400) || answer.Success != (len(answer.Errors) == 0) {
		t.Errorf("%s %s: %+v", method, url, answer)
	}
	for _, e := range answer.Errors {
		told += fmt.Sprint(" ", e.Code)
	}
	var all []struct{ Content string }
	if json.Unmarshal(answer.Result, &all) != nil {
		var one struct{ Content string }
		_ = json.Unmarshal(answer.Result, &one)
		all = append(all, one)
	}
	for _, r := range all {
		told += " " + r.Content
	}
	return strings.TrimSpace(told)
}

func TestItAnswersAsTheAPIDoes(t *testing.T) {
	t.Parallel()
	s := cloudflaretest.New(t, map[string]string{"example.com": cloudflaretest.ZoneID(1), "example.org": cloudflaretest.ZoneID(2)})
	path := s.URL + "/zones/" + cloudflaretest.ZoneID(1) + "/dns_records"
	one := s.Put(cloudflaretest.Record{Zone: cloudflaretest.ZoneID(1), Type: "A", Name: "a.example.com", Content: "192.0.2.1", Comment: "Rdev one"})
	s.Put(cloudflaretest.Record{Zone: cloudflaretest.ZoneID(2), Type: "A", Name: "a.example.com", Content: "192.0.2.9"})
	for _, c := range []struct{ method, url, body, want string }{
		{"POST", path, `{"type":"A","name":"a.example.com","content":"192.0.2.1","ttl":1}`, "400 81058"},
		{"POST", path, `{"type":"A","name":"A.example.com","content":"192.0.2.2","ttl":1}`, "200 192.0.2.2"},
		{"POST", path, `{"type":"AAAA","name":"a.example.com","content":"2001:db8::1","ttl":60}`, "200 2001:db8::1"},
		{"POST", path, `{"type":"CNAME","name":"a.example.com","content":"b.example.com","ttl":1}`, "400 81053"},
		{"POST", path, `{"type":"CNAME","name":"c.example.com","content":"b.example.com","ttl":1,"proxied":true}`, "200 b.example.com"},
		{"POST", path, `{"type":"CNAME","name":"c.example.com","content":"d.example.com","ttl":1}`, "400 81053"},
		{"POST", path, `{"type":"A","name":"c.example.com","content":"192.0.2.1","ttl":1}`, "400 81053"},
		{"POST", path, `{"type":"TXT","name":"c.example.com","content":"a text","ttl":1}`, `200 "a text"`},
		{"POST", path, `{"type":"TXT","name":"c.example.com","content":"\"a text\"","ttl":1}`, `400 81058`},
		{"POST", path, `{"type":"A","name":"d.example.com","content":"b.example.com","ttl":1}`, "400 1004"},
		{"POST", path, `{"type":"AAAA","name":"d.example.com","content":"192.0.2.1","ttl":1}`, "400 1004"},
		{"POST", path, `{"type":"CNAME","name":"d.example.com","content":"192.0.2.1","ttl":1}`, "400 1004"},
		{"POST", path, `{"type":"A","name":"d.example.com","content":"192.0.2.1"}`, "400 1004"},
		{"POST", path, `{"type":"A","name":"d.example.org","content":"192.0.2.1","ttl":1}`, "400 1004"},
		{"POST", path, `{"type":"TXT","name":"d.example.com","content":"x","ttl":1,"proxied":true}`, "400 1004"},
		{"POST", path, `{"type":"A","name":"d.example.com","content":"192.0.2.1","ttl":1,"comment":"` + strings.Repeat("x", 101) + `"}`, "400 1004"},
		{"POST", path, `{`, "400 9207"},
		{"GET", path + "?name.exact=A.example.com&page=1&per_page=2", "", "200 192.0.2.1 192.0.2.2"},
		{"GET", path + "?name.exact=a.example.com&page=2&per_page=2", "", "200 2001:db8::1"},
		{"GET", path + "?name.exact=a.example.com&page=3&per_page=2", "", "200"},
		{"GET", path + "?name.exact=a.example.com&type=AAAA", "", "200 2001:db8::1"},
		{"GET", path + "?comment.startswith=rdev", "", "200 192.0.2.1"},
		{"GET", path + "?nome=a", "", "400 1004"},
		{"GET", path + "?page=0", "", "400 1004"},
		{"GET", path + "/" + one.ID, "", "200 192.0.2.1"},
		{"PATCH", path + "/" + one.ID, `{"content":"192.0.2.3"}`, "200 192.0.2.3"},
		{"PATCH", path + "/" + one.ID, `{"content":"192.0.2.2"}`, "400 81058"},
		{"PUT", path + "/" + one.ID, `{"type":"A","name":"e.example.com","content":"192.0.2.4","ttl":1}`, "200 192.0.2.4"},
		{"DELETE", path + "/" + one.ID, "", "200"},
		{"DELETE", path + "/" + one.ID, "", "404 81044"},
		{"GET", s.URL + "/zones/" + cloudflaretest.ZoneID(3) + "/dns_records", "", "403 10000"},
		{"GET", s.URL + "/user", "", "404 7000"},
		{"PUT", path, "", "405 10405"},
	} {
		if got := call(t, cloudflaretest.Token, c.method, c.url, c.body); got != c.want {
			t.Errorf("%s %s %s: %q, want %q", c.method, strings.TrimPrefix(c.url, s.URL), c.body, got, c.want)
		}
	}
	if got := call(t, "another", "GET", path, ""); got != "403 9109" {
		t.Errorf("with another token: %q", got)
	}
	for _, r := range s.Snapshot() {
		if r.Name == "c.example.com" && r.Type == "CNAME" && (!r.Proxied || r.TTL != 1 || !r.Created.Equal(r.Modified)) {
			t.Errorf("kept is %+v", r)
		}
	}
}

func TestItFailsAsItIsTold(t *testing.T) {
	t.Parallel()
	s := cloudflaretest.New(t, map[string]string{"example.com": cloudflaretest.ZoneID(1)})
	path := s.URL + "/zones/" + cloudflaretest.ZoneID(1) + "/dns_records"
	done := 0
	for _, c := range []struct {
		fault cloudflaretest.Fault
		want  string
		done  int
	}{
		{cloudflaretest.Fault{Status: 500, Code: 1}, "500 1", 0},
		{cloudflaretest.Fault{Status: 503, AfterEffect: true}, "503 0", 1},
		{cloudflaretest.Fault{}, "nothing", 0},
		{cloudflaretest.Fault{AfterEffect: true}, "nothing", 1},
		{cloudflaretest.Fault{CutBody: true}, "200 half", 1},
	} {
		s.Fail("POST", c.fault)
		done += c.done
		got := call(t, cloudflaretest.Token, "POST", path, fmt.Sprintf(`{"type":"A","name":"a.example.com","content":"192.0.2.%d","ttl":1}`, done+c.done))
		if got != c.want || len(s.Snapshot()) != done {
			t.Errorf("%+v: %q, and %d are done", c.fault, got, len(s.Snapshot()))
		}
	}
}
