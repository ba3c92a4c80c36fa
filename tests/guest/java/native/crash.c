// The native library of NativeCrash.java: each way to crash that the kernel must hand to HotSpot.
#include <jni.h>
#include <stdint.h>
#include <string.h>

static void write_to(uintptr_t address)
{
	*(volatile int *)address = 1;
}

static void jump_to(uintptr_t address)
{
	((void (*)(void))address)();
}

// Takes the stack pointer along: Linux has no room for a signal's frame and ends the process by SIGSEGV.
static int overflow(int depth)
{
	volatile char room[1024];
	room[0] = (char)depth;
	return depth < 0 ? 0 : overflow(depth + 1) + room[0];
}

// Writes past the stack's end while the stack pointer is far from it: a signal's frame has room, and HotSpot reports.
static void overflow_below(void)
{
	volatile char *room = __builtin_frame_address(0);
	for (;;)
		*(room -= 1024) = 1;
}

JNIEXPORT void JNICALL Java_NativeCrash_crash(JNIEnv *env, jclass class, jstring how)
{
	(void)class;
	const char *way = (*env)->GetStringUTFChars(env, how, 0);
	if (!strcmp(way, "null"))
		write_to(0);
	if (!strcmp(way, "jump"))
		jump_to(0x10000);
	if (!strcmp(way, "noncanonical-write"))
		write_to(0x8000000000000000);
	if (!strcmp(way, "noncanonical-jump"))
		jump_to(0x8000000000000000);
	if (!strcmp(way, "overflow"))
		overflow(0);
	if (!strcmp(way, "overflow-below"))
		overflow_below();
	if (!strcmp(way, "kernel-write"))
		write_to(0xffffffff80000000);
	if (!strcmp(way, "kernel-jump"))
		jump_to(0xffffffff80000000);
	if (!strcmp(way, "kernel-memory"))
		write_to(0xffff800000001000);
}
