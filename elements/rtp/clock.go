package rtp

import "time"

// ntpEpoch is 1 January 1900 in Unix seconds (RFC 3550 §4).
const ntpEpoch = 2208988800

func ntpTime(ntp uint64) time.Time {
	return time.Unix(int64(ntp>>32)-ntpEpoch, int64((ntp&0xffffffff)*1e9>>32))
}

func toNTP(t time.Time) uint64 {
	return uint64(t.Unix()+ntpEpoch)<<32 | uint64(t.Nanosecond())<<32/1e9
}
