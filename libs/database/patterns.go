package database

import "strings"

// Like turns patterns in which * stands for any text into those of LIKE. Nothing
// else in them has a meaning.
func Like(patterns []string) []string {
	escaped := strings.NewReplacer(`\`, `\\`, `%`, `\%`, `_`, `\_`, `*`, `%`)
	like := make([]string, 0, len(patterns))
	for _, pattern := range patterns {
		like = append(like, escaped.Replace(pattern))
	}
	return like
}
