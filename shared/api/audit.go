package api

import (
	"context"

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
