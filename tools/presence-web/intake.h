/* intake.h - from a request that reports a heartbeat to the datagram that does. */
#ifndef PRESENCE_WEB_INTAKE_H
#define PRESENCE_WEB_INTAKE_H

#include "client.h"
#include "heartbeat.h"

/* May this client report another one? To be asked first, so that rubbish has its price, too. */
bool intake_admit(const struct web *web, const struct client *client, struct problem *problem);

/* Check what was sent, and that it may be. */
bool intake_read(const struct web *web, const struct http_request *request,
                 const struct heartbeat_fields *fields, struct heartbeat *ret,
                 struct problem *problem);

/* Queue it for the collectors. False: it is not counted. */
bool intake_forward(struct web *web, const struct http_request *request,
                    const struct client *client, const struct heartbeat *heartbeat);

#endif
