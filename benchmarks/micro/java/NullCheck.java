/** Prints the cost of a null check that faults, caught by the method itself (ns a check; NullCheck [rounds]). */
public class NullCheck {
    int field;

    static int load(NullCheck object) {
        try {
            return object.field;
        } catch (NullPointerException e) {
            return 1;
        }
    }

    static long run(int checks) {
        long start = System.nanoTime(), sum = 0;
        for (int i = 0; i < checks; i++) sum += load(null);
        long end = System.nanoTime();
        if (sum != checks) throw new AssertionError();
        return end - start;
    }

    public static void main(String[] args) {
        int checks = 1000;
        for (int i = 0; i < 3; i++) run(2 * checks);
        for (int i = 0; i < 5; i++) {
            long once = run(checks), twice = run(2 * checks);
            System.out.println("micro null_check " + (double) (twice - once) / checks + " 0");
        }
        System.out.println("micro end");
    }
}
