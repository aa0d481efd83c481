// Package claim knows what third parties complain of, what evidence the operator asks of an account, and what an account says
// against a restriction. What a claimant wrote is sealed: only the operator opens it, and no account ever sees it. It decides
// nothing: restrictions are the operator's own act.
package claim

import (
	"errors"
	"slices"
	"time"
)

// Retention is how long complaints and evidence requests are kept: long enough to answer for a decision.
const Retention = 3 * 365 * 24 * time.Hour

// Status is where a complaint stands.
type Status string

// The statuses of a complaint.
const (
	Open      Status = "open"
	InReview  Status = "in_review"
	Upheld    Status = "upheld"
	Dismissed Status = "dismissed"
)

// Statuses are all statuses of a complaint.
func Statuses() []Status { return []Status{Open, InReview, Upheld, Dismissed} }

// May reports whether a complaint may go from one status to another. What was decided may be looked at again; nothing
// becomes unread.
func (s Status) May(next Status) bool {
	switch s {
	case Open:
		return slices.Contains([]Status{InReview, Upheld, Dismissed}, next)
	case InReview:
		return next == Upheld || next == Dismissed
	default:
		return next == InReview
	}
}

// Complaint is what a third party reported, without what they wrote: see Complaints.Statement.
type Complaint struct {
	ID string
	// Category is the id of a prohibited use of the Rules, or "other".
	Category string
	Status   Status
	// AccountID is the account that the operator found the complaint to be about; "": none yet.
	AccountID  string
	ReceivedAt time.Time
	ChangedAt  time.Time

	version         int64
	statement, note []byte // sealed
}

// Statement is what the claimant wrote. It is personal data of the claimant.
type Statement struct {
	Description string `json:"description"`
	// SenderAddress is the number or handle that wrote to them.
	SenderAddress string  `json:"sender_address,omitempty"`
	Contact       Contact `json:"contact"`
}

// Contact is how a claimant can be reached, as far as they said.
type Contact struct {
	Name  string `json:"name,omitempty"`
	Email string `json:"email,omitempty"`
	Phone string `json:"phone,omitempty"`
}

// EvidenceStatus is where an evidence request stands.
type EvidenceStatus string

// The statuses of an evidence request.
const (
	Requested EvidenceStatus = "open"
	Submitted EvidenceStatus = "submitted"
	Accepted  EvidenceStatus = "accepted"
	Rejected  EvidenceStatus = "rejected"
)

// EvidenceStatuses are all statuses of an evidence request.
func EvidenceStatuses() []EvidenceStatus {
	return []EvidenceStatus{Requested, Submitted, Accepted, Rejected}
}

// Waits reports whether the account has to answer.
func (s EvidenceStatus) Waits() bool { return s == Requested || s == Rejected }

// Evidence is a request for documented evidence of recipients' consent.
type Evidence struct {
	ID        string
	AccountID string
	// Reason and Note are the operator's words; the account sees them.
	Reason, Note string
	DueAt        time.Time
	// RecipientIDs are whom it is about, From and To the time; both may be missing.
	RecipientIDs []string
	From, To     time.Time
	ComplaintID  string
	Status       EvidenceStatus
	CreatedAt    time.Time
	ChangedAt    time.Time
	// Submissions counts the account's answers.
	Submissions int64

	version int64
}

// Overdue reports whether the account should have answered by now. Nothing follows by itself.
func (e Evidence) Overdue(now time.Time) bool { return e.Status.Waits() && now.After(e.DueAt) }

// Submission is one answer of an account.
type Submission struct {
	By        string     `json:"by"`
	At        time.Time  `json:"at"`
	Statement string     `json:"statement"`
	Documents []Document `json:"documents"`
	// Bundles are signed bundles of evidence that belong to the answer.
	Bundles []Bundle `json:"bundles,omitempty"`
}

// Bundle names a bundle of evidence by its id and the hash of its last part. The bundle itself is with whom it was handed to.
type Bundle struct {
	ID     string `json:"id"`
	SHA256 string `json:"sha256"`
}

// Document is a document that an account names as evidence. It stays where it is.
type Document struct {
	Title  string `json:"title"`
	URL    string `json:"url"`
	SHA256 string `json:"sha256,omitempty"`
}

var (
	// ErrNotFound: there is no such complaint, evidence request or appeal.
	ErrNotFound = errors.New("complaint, evidence request or appeal not found")
	// ErrStatus: it does not stand where this may be done.
	ErrStatus = errors.New("not in this status")
	// ErrChanged: somebody else changed it meanwhile.
	ErrChanged = errors.New("changed meanwhile")
)
