/** How deep a method recurses on stacks of three sizes. With -Xint it is the stack's size that decides, not when a compiler is done. */
public class Depth {
    static int depth;

    static int recurse(int n) {
        depth = n;
        return recurse(n + 1) + 1;
    }

    static void overflow() {
        try {
            recurse(0);
        } catch (StackOverflowError e) {
            System.out.println(Thread.currentThread().getName() + " " + depth);
        }
    }

    public static void main(String[] args) throws Exception {
        overflow();
        // From small to large (0: 1 MiB): glibc may give a thread an ended one's stack of up to four times the size.
        for (int kib : new int[] {256, 0, 16384}) {
            Thread thread = new Thread(null, Depth::overflow, "stack of " + kib + " KiB", (long) kib << 10);
            thread.start();
            thread.join();
        }
    }
}
