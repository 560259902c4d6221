#include "segment_judge_events.h"

#define NUMBER_MAX (UINT64_C(1) << 62) /* of an event, and of its time in microseconds */

/* True if the record that was published in this slot, perhaps a lap ago, is sound. */
static bool record_is_sound(const struct event_record *record)
{
    return record->kind >= EVENT_ENTERED && record->kind <= EVENT_CUSTOM &&
           record->site_length <= EVENT_SITE_MAX && record->source_length <= EVENT_SOURCE_MAX &&
           record->name_length <= EVENT_NAME_MAX;
}

static bool slot_is_sound(const struct events *events, uint64_t place)
{
    const struct event_slot *slot = &events->slots[place];
    uint64_t number = slot->state / 2;

    if (event_claim_time(slot->claim) > NUMBER_MAX)
        return false;
    if (slot->state == 0)
        return true;
    if ((number & (events->capacity - 1)) != place || number < events->head->first ||
        number >= events->head->next)
        return false;
    return slot->state & 1 || record_is_sound(&slot->record);
}

/* True if claims rise with numbers: events_claim would skip an event whose time is ahead of its
 * successor's. The slot of the oldest event may have been claimed for the next one already. */
static bool claims_rise(const struct events *events)
{
    const struct events_head *head = events->head;
    uint64_t written = head->next - head->first;
    uint64_t number = head->next - (written < events->capacity ? written : events->capacity - 1);

    for (; number + 1 < head->next; number++)
        if (event_claim_time(event_slot_at(events, number)->claim) >=
            event_claim_time(event_slot_at(events, number + 1)->claim))
            return false;
    return true;
}

bool events_are_sound(const struct events *events, struct segment_fault *ret)
{
    if (events->capacity == 0)
        return true;
    if (events->head->first > events->head->next || events->head->next > NUMBER_MAX) {
        *ret = (struct segment_fault){"event", events->head->next, "impossible numbers"};
        return false;
    }
    for (uint32_t i = 0; i < events->capacity; i++)
        if (!slot_is_sound(events, i)) {
            *ret = (struct segment_fault){"event slot", i, "no event in it"};
            return false;
        }
    if (!claims_rise(events)) {
        *ret = (struct segment_fault){"event", events->head->next, "times do not rise"};
        return false;
    }
    return true;
}
