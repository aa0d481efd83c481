package recipient

import (
	_ "embed"
	"slices"
	"strings"
)

// stopWords has one word or phrase a line, in small letters.
//
//go:embed stopwords.txt
var stopWords string

// StopWords lists the words by which a recipient opts out, in small letters.
func StopWords() []string { return strings.Split(strings.TrimSpace(stopWords), "\n") }

// IsStop reports whether a text is one of the StopWords and nothing else, in small or capital letters, with blanks
// around it or not. Anything more is a message to a person, who reads it and decides.
func IsStop(text string) bool {
	return slices.Contains(StopWords(), strings.ToLower(strings.TrimSpace(text)))
}
