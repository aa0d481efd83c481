package edna

import (
	"strings"

	"contactcenter/shared/provider"
)

const codeNotUnique = "requestId-is-not-unique"

// reason is what one of edna's error codes means to a customer.
type reason struct {
	code   string
	fault  provider.Fault
	detail string
}

// reasonOf knows the codes of edna's API and of its status callbacks. The documentation says that the list can grow.
func reasonOf(code string) reason {
	switch code {
	case "matched-template-not-found", "error-content-do-not-match-hsm-template", "not-template-match", "no-match-template":
		return reason{"provider_refused", provider.FaultCustomer, "outside the reply window, and no approved template matches the text"}
	case "cascade-not-found", "error-subject-unknown", "error-subject-format", "error-subject-id-format":
		return reason{"sender_unavailable", provider.FaultPlatform, "the provider does not know this sender"}
	case "error-address-format", "error-address-unknown", "error-address-not-specified":
		return reason{"recipient_invalid", provider.FaultCustomer, "the provider does not accept the recipient's address"}
	case "not-whatsapp-user", "not-viber-user":
		return reason{"recipient_invalid", provider.FaultRecipient, "the recipient does not use this messenger"}
	case "user-blocked":
		return reason{"provider_refused", provider.FaultRecipient, "the recipient has blocked the sender"}
	case "error-insufficient-balance":
		return reason{"provider_refused", provider.FaultPlatform, "the operator's balance with the provider is used up"}
	case "error-system", "error-system-blocked", "error-unauthorized":
		return reason{"provider_refused", provider.FaultProvider, "the provider failed to process the message"}
	case codeNotUnique, "error-id-not-unique":
		return reason{"provider_duplicate", provider.FaultPlatform, "the provider has had a message of this id before"}
	case "content-not-specified", "contentType-not-specified", "text-not-specified", "caption-not-specified", "latitude-not-specified",
		"longitude-not-specified", "error-content-format":
		return reason{"provider_refused", provider.FaultCustomer, "the provider does not accept the content"}
	case "attachmentName-not-specified", "attachmentName-is-too-long":
		return reason{"provider_refused", provider.FaultCustomer, "the provider wants a file name, of at most 70 characters"}
	case "error-attachment-url-not-specified":
		return reason{"provider_refused", provider.FaultCustomer, "the provider does not accept the file's URL"}
	}
	return reason{"provider_refused", provider.FaultProvider, "the provider refused the message"}
}

// presentable admits a provider's word only if it can be nothing but a code: words of letters joined by hyphens. What
// quotes a text or a number does not pass.
func presentable(code string) bool {
	if len(code) < 3 || len(code) > 80 {
		return false
	}
	for _, r := range code {
		letter := r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z'
		if !letter && r != '-' && r != '_' && r != '\'' {
			return false
		}
	}
	return true
}

// duplicate says whether a refusal of cascade/schedule means that edna took this requestId before. The code comes as
// the title, or as the one violation in the detail of the general title. A detail that says more is not believed: it
// can quote the message.
func duplicate(p problem) bool {
	if p.Title == codeNotUnique || p.Code == codeNotUnique {
		return true
	}
	_, violations, found := strings.Cut(p.Detail, "Violations:")
	return found && strings.Trim(violations, " []\t\r\n.") == codeNotUnique
}
