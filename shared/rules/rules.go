// Package rules knows the Contact Center Rules: their published versions, which of them is in force, and which account
// accepted which.
package rules

import (
	"errors"
	"slices"
	"time"
)

// Version is one published version of the Rules. It never changes.
type Version struct {
	Version     string    `json:"version"`
	EffectiveAt time.Time `json:"effective_at"`
	// Documents are all that using the Contact Center accepts.
	Documents []Document `json:"documents"`
	// ProhibitedUses are the categories of content that the Contact Center is not meant for. Nothing filters by them.
	ProhibitedUses []ProhibitedUse `json:"prohibited_uses"`
	// Mode says how the version is accepted; "" is Explicit.
	Mode Mode `json:"acceptance,omitempty"`
	// PublishedAt is when Store.Publish published it first, to the millisecond. It is no part of what the version says, and zero for
	// one that was published before this was kept.
	PublishedAt time.Time `json:"published_at,omitzero"`
}

// Mode says how an account accepts a version that has come into force.
type Mode string

// The modes.
const (
	// Explicit: a user accepts it by a request of their own, and nothing is sent or activated before.
	Explicit Mode = "explicit"
	// Notice: an account that accepted an earlier version accepts this one by using the Contact Center.
	Notice Mode = "notice"
)

// Acceptance is how the version is accepted.
func (v Version) Acceptance() Mode {
	if v.Mode == "" {
		return Explicit
	}
	return v.Mode
}

// Document is one document of a version. Its ID is "rules", "terms", "privacy" or "dpa".
type Document struct {
	ID      string `json:"id"`
	Version string `json:"version"`
	// SHA256 is the hash of the document's text, 64 lower-case hexadecimal digits.
	SHA256 string `json:"sha256"`
	URL    string `json:"url,omitempty"`
}

// ProhibitedUse is a category of content that the Contact Center is not meant for.
type ProhibitedUse struct {
	ID    string `json:"id"`
	Title string `json:"title"`
}

// DocumentIDs are the documents that a version can have; the first three it must have.
func DocumentIDs() []string { return []string{"rules", "terms", "privacy", "dpa"} }

// Capacity says for whom a user accepts.
type Capacity string

// The capacities.
const (
	Self        Capacity = "self"
	LegalEntity Capacity = "legal_entity"
)

// Kind says by what act a version was accepted.
type Kind string

// The kinds.
const (
	// ByRequest: a user accepted the version expressly.
	ByRequest Kind = "explicit"
	// ByUse: a user used the Contact Center while a version was in force of which the account had notice.
	ByUse Kind = "use"
)

// Acceptance is an account's acceptance of one version, by a user.
type Acceptance struct {
	ID           string
	AccountID    string
	RulesVersion string
	// Kind is ByRequest when it is "".
	Kind Kind
	// Documents are those of the version, without their URLs.
	Documents       []Document
	Capacity        Capacity
	LegalEntityName string
	// UserID is the token's subject; SourceIP the address that the request came from.
	UserID   string
	SourceIP string
	At       time.Time
}

var (
	// ErrNotFound: there is no such version.
	ErrNotFound = errors.New("version of the Rules not found")
	// ErrNoneInForce: no version has come into force yet.
	ErrNoneInForce = errors.New("no version of the Rules is in force")
	// ErrPublished: the version is published already, with another body.
	ErrPublished = errors.New("this version of the Rules is published already, and never changes")
)

// Same reports whether two versions say the same.
func (v Version) Same(o Version) bool {
	return v.Version == o.Version && v.EffectiveAt.Equal(o.EffectiveAt) && v.Acceptance() == o.Acceptance() &&
		slices.Equal(v.Documents, o.Documents) && slices.Equal(v.ProhibitedUses, o.ProhibitedUses)
}

// Plain are the documents as an acceptance names them: without their URLs.
func (v Version) Plain() []Document {
	list := make([]Document, 0, len(v.Documents))
	for _, d := range v.Documents {
		list = append(list, Document{ID: d.ID, Version: d.Version, SHA256: d.SHA256})
	}
	return list
}
