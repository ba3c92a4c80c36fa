/** Crashes in a native library, in the way that the argument names; the second argument is the library. */
public class NativeCrash {
    static native void crash(String how);

    public static void main(String[] args) {
        System.load(args[1]);
        System.out.println("crashing: " + args[0]);
        System.out.flush();
        crash(args[0]);
        System.out.println("survived");
    }
}
