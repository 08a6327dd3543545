package testkit

import (
	"os"
	"regexp"
	"testing"
)

// Blocks are the blocks of a page in Markdown that are in a language, as "sh". There is at
// least one.
func Blocks(t testing.TB, path, language string) (all []string) {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for _, block := range regexp.MustCompile("(?s)```"+language+"\n(.*?)```").FindAllSubmatch(text, -1) {
		all = append(all, string(block[1]))
	}
	if len(all) == 0 {
		t.Fatalf("%s has nothing in %s", path, language)
	}
	return all
}
