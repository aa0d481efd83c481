package day

import "contactcenter/scripts/demo/internal/stack"

// The accounts, by their place in the cast.
const (
	pharmacy = iota
	parcels
	school
	repairs
	garden
)

// member is one account of the day: who it is, what it pays for, and what its people say. All of it is made up. {no} stands for
// a number that no other message has.
type member struct {
	name   string
	need   stack.Need
	plan   string
	agents []string
	// talks are how many conversations it begins, or has begun with it, in an hour of the day.
	talks int
	// opens, asks and answers are what agents write first, what recipients write, and what agents reply.
	opens, asks, answers []string
}

// repairsLimit is the number of messages that the repair shop's first plan allows. It is used up a good hour after noon.
const repairsLimit = 40

func twilio(number string) map[string]string {
	return map[string]string{"account_sid": "AC00000000000000000000000000000001", "auth_token": "local-twilio-auth-token", "sender": number}
}

func cast() []member {
	return []member{
		pharmacy: {
			name: "Linden Pharmacy", plan: "2,000 a month, 20 a second", talks: 2, agents: []string{"anna", "boris"},
			need: stack.Need{Provider: "edna", Name: "Linden Pharmacy", Limit: 2000, Rate: 20},
			opens: []string{
				"Good day from Linden Pharmacy. Your order {no} is ready for collection until 7 pm.",
				"The ointment that you asked for is in again. We keep one for you under {no}.",
				"Your repeat order {no} can be collected from tomorrow at 9.",
			},
			asks:    []string{"Are you open at lunchtime?", "Can my neighbour collect it for me?", "Do you have it in the larger pack?", "Thank you, I'll come by at five."},
			answers: []string{"Yes. Please mention {no} at the counter.", "We have put it aside for you, number {no}.", "Of course. It is under {no}, and we are here until 7 pm."},
		},
		parcels: {
			name: "Kestrel Parcels", plan: "no limit, 50 a second", talks: 3, agents: []string{"carla", "dinos", "emil"},
			need: stack.Need{Provider: "twilio_sms", Name: "Kestrel Parcels", Limit: 1_000_000_000, Rate: 50, Credentials: twilio("+15550101009")},
			opens: []string{
				"Kestrel Parcels: your parcel {no} is on its way and arrives between 2 and 4 pm.",
				"Kestrel Parcels: we missed you. Parcel {no} waits at the kiosk by the station.",
				"Kestrel Parcels: parcel {no} was delivered to your neighbour at the blue door.",
			},
			asks:    []string{"Please leave it at the back door", "Can you come after six?", "Which kiosk is it?", "Thanks!"},
			answers: []string{"Noted for parcel {no}.", "Parcel {no}: the driver knows.", "Done. {no} comes on the evening round."},
		},
		school: {
			name: "Hillside School", plan: "5,000 a month, 5 a second", talks: 1, agents: []string{"fay", "george"},
			need: stack.Need{Provider: "edna", Name: "Hillside School", Limit: 5000, Rate: 5},
			opens: []string{
				"Hillside School: the meeting about the school trip is on Thursday at 6 pm, room 12. Notice {no}.",
				"Hillside School: please sign the form for the museum visit by Friday. Notice {no}.",
				"Hillside School: the choir rehearses in the hall today. Notice {no}.",
			},
			asks:    []string{"Is there parking at the school?", "We'll be there, both of us.", "My daughter is not well and stays at home today."},
			answers: []string{"Thank you for letting us know. Noted as {no}.", "Yes, behind the gym. Your reference is {no}.", "Get well soon! Noted as {no}."},
		},
		repairs: {
			name: "Cog & Spring", plan: "40 a month, later 200 a day", talks: 0, agents: []string{"hanna", "ivo"},
			need: stack.Need{Provider: "twilio_sms", Name: "Cog & Spring", Limit: repairsLimit, Rate: 10, Credentials: twilio("+15550101010")},
			opens: []string{
				"Cog & Spring: your bicycle is ready. Ticket {no}, we are open until 6 pm.",
				"Cog & Spring: the watch needs a new spring; that would be 45 euros. Ticket {no}: shall we?",
				"Cog & Spring: the part for your lamp has come. Ticket {no}.",
			},
			asks:    []string{"Yes please, go ahead", "How much is it altogether?", "I'll be there tomorrow", "Can I pay by card?"},
			answers: []string{"Good, we begin today. Ticket {no}.", "Yes, with pleasure. Ticket {no}.", "See you then! Ticket {no}."},
		},
		garden: {
			name: "Fern Garden Shop", plan: "5,000 a month, 20 a second", talks: 2, agents: []string{"katja", "leo"},
			need: stack.Need{Provider: "edna", Name: "Fern Garden Shop", Limit: 5000, Rate: 20},
			opens: []string{
				"Fern Garden Shop: the roses that you ordered have come. Order {no}.",
				"Fern Garden Shop: we deliver your soil on Wednesday morning. Order {no}.",
				"Fern Garden Shop: your voucher {no} is valid until the end of May.",
			},
			asks:    []string{"Do you deliver on Saturdays?", "Is the lemon tree still there?", "How often do I water it?", "Wonderful, thank you"},
			answers: []string{"Yes, between 9 and noon. Order {no}.", "It is, and we keep it for you under {no}.", "Twice a week is enough. Your order was {no}."},
		},
	}
}

const (
	campaignText = "Fern Garden Shop: spring begins! Until Saturday all herbs are three for two. Your code is {no}. STOP ends these messages."
	noticeText   = "Hillside School: there is no school on Monday, the heating is repaired. Notice {no}."
	roundText    = "Kestrel Parcels: parcel {no} is on the van and comes this morning."
	eveningText  = "Fern Garden Shop: tonight until 8 pm, pots at half price for you. Code {no}."
)

// noSuchNumbers are recipients that the provider refuses, as it documents for tests.
func noSuchNumbers() []string {
	return []string{"+15005550001", "+15005550002", "+15005550009"}
}
