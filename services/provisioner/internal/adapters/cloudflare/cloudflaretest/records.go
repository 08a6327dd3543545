package cloudflaretest

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Record is a record of a zone, as it is kept.
type Record struct {
	Zone, ID, Name, Type, Content, Comment string

	TTL               int
	Proxied           bool
	Created, Modified time.Time
}

// Put has somebody else make a record, whatever the API says of it, and returns it. What is
// not set of ID, TTL and Created it gets.
func (s *Server) Put(r Record) Record {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.keep(r)
}

// Snapshot are all records that there are, in the order in which they came.
func (s *Server) Snapshot() []Record {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]Record{}, s.records...)
}

// Drop has somebody else remove all records of a name.
func (s *Server) Drop(name string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.records = slices.DeleteFunc(s.records, func(r Record) bool { return r.Name == name })
}

// keep sets what a record has of the server, and keeps it. Each change has a time of its own.
func (s *Server) keep(r Record) Record {
	s.now = s.now.Add(time.Millisecond)
	s.made++
	if r.ID == "" {
		r.ID = digits(0x1ec<<20 + s.made)
	}
	if r.TTL == 0 {
		r.TTL = 1
	}
	if r.Created.IsZero() {
		r.Created = s.now
	}
	r.Modified = s.now
	if at := slices.IndexFunc(s.records, func(other Record) bool { return other.ID == r.ID }); at >= 0 {
		s.records[at] = r
	} else {
		s.records = append(s.records, r)
	}
	return r
}

// digits is an id of 32 hexadecimal digits.
func digits(n int) string { return fmt.Sprintf("%032x", n) }

// wire is a record as the API has it.
func (r Record) wire() map[string]any {
	wire := map[string]any{
		"id": r.ID, "name": r.Name, "type": r.Type, "content": r.Content, "ttl": r.TTL, "proxied": r.Proxied, "proxiable": proxiable(r.Type),
		"comment": nil, "settings": map[string]any{}, "meta": map[string]any{}, "tags": []string{},
		"created_on": r.Created.Format(time.RFC3339Nano), "modified_on": r.Modified.Format(time.RFC3339Nano),
	}
	if r.Comment != "" {
		wire["comment"] = r.Comment
	}
	return wire
}

func proxiable(kind string) bool { return kind == "A" || kind == "AAAA" || kind == "CNAME" }

// write makes or changes a record: it gets what the body has.
func (s *Server) write(r Record, body []byte) answer {
	given := struct {
		Name, Type, Content, Comment *string
		TTL                          *int
		Proxied                      *bool
	}{&r.Name, &r.Type, &r.Content, &r.Comment, &r.TTL, &r.Proxied}
	if err := json.Unmarshal(body, &given); err != nil {
		return refuse(http.StatusBadRequest, 9207, "Request body is invalid.")
	}
	r.Name = strings.ToLower(r.Name)
	if r.Proxied {
		r.TTL = 1
	}
	if wrong := s.invalid(r); wrong != "" {
		return refuse(http.StatusBadRequest, 1004, "DNS Validation Error: "+wrong)
	}
	if r.Type == "TXT" && !strings.HasPrefix(r.Content, `"`) {
		r.Content = strconv.Quote(r.Content)
	}
	for _, other := range s.records {
		if other.Zone != r.Zone || other.Name != r.Name || other.ID == r.ID {
			continue
		}
		switch {
		case other.Type == r.Type && other.Content == r.Content:
			return refuse(http.StatusBadRequest, 81058, "An identical record already exists.")
		case proxiable(r.Type) && proxiable(other.Type) && (r.Type == "CNAME" || other.Type == "CNAME"):
			return refuse(http.StatusBadRequest, 81053, "An A, AAAA, or CNAME record with that host already exists.")
		}
	}
	return answer{status: http.StatusOK, result: s.keep(r).wire()}
}

// invalid is what is wrong with a record, "" where nothing is. The API takes names that are
// not in the zone, and has the zone follow them: nobody wants that.
func (s *Server) invalid(r Record) string {
	zone := s.zones[r.Zone]
	address, err := netip.ParseAddr(r.Content)
	switch {
	case r.Name != zone && !strings.HasSuffix(r.Name, "."+zone) || len(r.Name) > 253:
		return "the name is not of the zone"
	case r.TTL != 1 && (r.TTL < 60 || r.TTL > 86400):
		return "ttl must be between 60 and 86400 seconds, or 1 for automatic"
	case len(r.Comment) > 100:
		return "a comment has at most 100 characters"
	case r.Proxied && !proxiable(r.Type):
		return "this record type cannot be proxied"
	case r.Type == "A" && (err != nil || !address.Is4()):
		return "content for A record must be a valid IPv4 address"
	case r.Type == "AAAA" && (err != nil || !address.Is6()):
		return "content for AAAA record must be a valid IPv6 address"
	case r.Type == "CNAME" && (err == nil || !strings.Contains(r.Content, ".") || r.Content == r.Name):
		return "content for CNAME record is invalid"
	case r.Type == "TXT" && (r.Content == "" || len(r.Content) > 257):
		return "content for TXT record is invalid"
	case !proxiable(r.Type) && r.Type != "TXT":
		return "the type is none that this server makes"
	}
	return ""
}

// list answers a page of the records that all filters let through. A filter that it does
// not know it does not take: one that nobody heeds would let everything through.
func (s *Server) list(zone string, query url.Values) answer {
	numbers := map[string]int{"page": 1, "per_page": 100}
	lets := map[string]func(r Record, value string) bool{
		"name.exact":         func(r Record, value string) bool { return strings.EqualFold(r.Name, value) },
		"type":               func(r Record, value string) bool { return r.Type == value },
		"comment.startswith": func(r Record, value string) bool { return hasPrefixFold(r.Comment, value) },
	}
	for key := range query {
		if lets[key] != nil {
			continue
		}
		n, err := strconv.Atoi(query.Get(key))
		if numbers[key] == 0 || err != nil || n < 1 {
			return refuse(http.StatusBadRequest, 1004, "DNS Validation Error: "+key)
		}
		numbers[key] = n
	}
	found := []any{}
	for _, r := range s.records {
		let := r.Zone == zone
		for key := range query {
			let = let && (lets[key] == nil || lets[key](r, query.Get(key)))
		}
		if let {
			found = append(found, r.wire())
		}
	}
	size := min(numbers["per_page"], s.pageSize)
	from := min((numbers["page"]-1)*size, len(found))
	some := found[from:min(from+size, len(found))]
	return answer{status: http.StatusOK, result: some, info: map[string]int{
		"page": numbers["page"], "per_page": size, "count": len(some), "total_count": len(found), "total_pages": (len(found) + size - 1) / size,
	}}
}

func hasPrefixFold(text, prefix string) bool {
	return len(text) >= len(prefix) && strings.EqualFold(text[:len(prefix)], prefix)
}
