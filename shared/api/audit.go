package api

import (
	"context"
	"maps"
	"strings"

	"contactcenter/shared/audit"
)

// AuditEvent begins the audit event of what the context's principal does: who, for which account, in which request, from
// where. It is here and not in package audit because stores use that one and this package uses them. The account is the
// principal's own; an operator's act on an account names it itself. Action, target, before, after and reason are the caller's.
func AuditEvent(ctx context.Context) audit.Event {
	call, p := CallFrom(ctx), PrincipalFrom(ctx)
	kind := audit.User
	if p.AccountID == "" {
		kind = audit.Operator
	}
	return audit.Event{
		AccountID: p.AccountID, Actor: audit.Actor{Kind: kind, ID: p.UserID, AccountID: p.AccountID},
		RequestID: call.RequestID, SourceIP: call.SourceIP,
	}
}

// AuditRecordOf shows an event to the operator.
func AuditRecordOf(e audit.Event) AuditRecord {
	return AuditRecord{
		ID: e.ID, At: At(e.At), AccountID: e.AccountID, Action: e.Action, Target: e.Target, Before: e.Before, After: e.After, Reason: e.Reason,
		Actor:         AuditActor{Kind: AuditActorKind(e.Actor.Kind), ID: e.Actor.ID, AccountID: e.Actor.AccountID},
		InstructionID: e.InstructionID, ComplaintID: e.ComplaintID, RequestID: e.RequestID, SourceIP: e.SourceIP, RulesVersion: e.RulesVersion,
		Sequence: e.Sequence, PreviousHash: e.PreviousHash, Hash: e.Hash, WithheldHash: e.WithheldHash, WithheldSalt: e.WithheldSalt,
	}
}

// OwnAuditRecordOf shows an event to the account that it concerns, and whether it is shown at all. Of an act of the operator's
// the account sees what was done and why, but neither who did it and from where, nor anything of a complaint behind it: what
// chain.Withhold leaves, so that the account can check the event's hash.
func OwnAuditRecordOf(e audit.Event) (record AuditRecord, shown bool) {
	if strings.HasPrefix(e.Action, "complaint.") {
		return AuditRecord{}, false
	}
	out := AuditRecordOf(e)
	out.ComplaintID, out.WithheldSalt, out.Before, out.After = "", "", withoutComplaint(e.Before), withoutComplaint(e.After)
	if e.Actor.Kind != audit.User {
		out.Actor.ID, out.RequestID, out.SourceIP = "", "", ""
	}
	return out, true
}

func withoutComplaint(values map[string]any) map[string]any {
	out := maps.Clone(values)
	maps.DeleteFunc(out, func(name string, _ any) bool {
		return strings.Contains(name, "complain") || strings.Contains(name, "claim")
	})
	return out
}

// AuditVerificationOf shows what a check of a chain of events found.
func AuditVerificationOf(v audit.Verification) AuditVerification {
	out := AuditVerification{
		Verified: v.Verified, Events: v.Events, Unchained: v.Unchained, From: v.From, To: v.To, HeadHash: v.HeadHash, NextPageToken: v.Next,
	}
	if b := v.FirstBroken; b != nil {
		out.FirstBroken = &AuditBroken{ID: b.ID, Sequence: b.Sequence, Why: AuditBrokenWhy(b.Why)}
	}
	return out
}
